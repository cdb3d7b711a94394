// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package runfolder

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// The folder that stops a user is named, and whose it is: to a data_dir of mode 0700, as
// Nomad makes it, every run folder in a task directory is closed.
func TestOpen_NamesTheFolderThatStopsTheUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	const nobody, task = 65534, "alloc/01234567-89ab-cdef-0123-456789abcdef/solve"
	user := supervisor.User{UID: nobody, GID: nobody}
	for name, c := range map[string]struct {
		base, rel string
		closed    string // of the path below the root of the test
		want      []string
	}{
		"nothing":            {"data/" + task, "local", "", nil},
		"data_dir":           {"data/" + task, "local", "data", []string{"@/data (the client's data_dir) on the way is closed", "(mode 0700, uid 0)", "chmod 0711 @/data, which lets users pass"}},
		"above data_dir":     {"srv/data/" + task, "local", "srv", []string{"@/srv (above the client's data_dir) on the way", "chmod 0711 @/srv", "or have data_dir elsewhere"}},
		"the allocations":    {"data/" + task, "local", "data/alloc", []string{"@/data/alloc (where the client has its allocations) on the way", "chmod 0711 @/data/alloc"}},
		"alloc_dir":          {"allocs/01234567-89ab-cdef-0123-456789abcdef/solve", "local", "allocs", []string{"@/allocs (where the client has its allocations)"}},
		"a folder of a user": {"scratch", "alice/run", "scratch/alice", []string{"@/scratch/alice on the way is closed", "chmod a+x @/scratch/alice, or set user in the job's task"}},
		"the run folder":     {"scratch", "alice/run", "scratch/alice/run", []string{"user 65534 may not enter or read it", "give the folder to that user"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for dir := root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
				must.NoError(t, os.Chmod(dir, 0o755))
			}
			folder := filepath.Join(root, c.base, c.rel)
			must.NoError(t, os.MkdirAll(folder, 0o755))
			must.NoError(t, os.Chmod(folder, 0o777))
			if c.closed != "" {
				must.NoError(t, os.Chmod(filepath.Join(root, c.closed), 0o700))
			}
			err := user.Do(func() error {
				opened, err := Open(filepath.Join(root, c.base), c.rel, user)
				if err == nil {
					return opened.Close()
				}
				return err
			})
			if c.want == nil {
				must.NoError(t, err)
				return
			}
			must.ErrorIs(t, err, fs.ErrPermission)
			for _, want := range c.want {
				must.StrContains(t, err.Error(), strings.ReplaceAll(want, "@", root))
			}
		})
	}
}
