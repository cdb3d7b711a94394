// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package runfolder

import (
	"os"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/kerneltest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Who may write is the kernel's to say, by whatever way it is asked: an access
// control list gives and takes what the mode does not show.
func TestMayWrite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	const nobody = 65534
	user := supervisor.User{UID: nobody, GID: nobody}
	for name, c := range map[string]struct {
		mode os.FileMode
		list *kerneltest.ACL
		may  bool
	}{
		"all may write":            {0o777, nil, true},
		"root alone may write":     {0o755, nil, false},
		"a list lets the user":     {0o700, &kerneltest.ACL{Owner: 7, Users: map[uint32]uint16{nobody: 7}}, true},
		"a list lets his group":    {0o700, &kerneltest.ACL{Owner: 7, Groups: map[uint32]uint16{nobody: 7}}, true},
		"a list keeps him out":     {0o777, &kerneltest.ACL{Owner: 7, Group: 7, Other: 7, Users: map[uint32]uint16{nobody: 5}}, false},
		"a list lets others write": {0o755, &kerneltest.ACL{Owner: 7, Group: 5, Other: 7, Users: map[uint32]uint16{1: 5}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			must.NoError(t, os.Chmod(path, c.mode))
			if c.list != nil {
				kerneltest.SetACL(t, path, kerneltest.Access, *c.list)
			}
			dir, err := unix.Open(path, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
			must.NoError(t, err)
			defer unix.Close(dir)
			for way, ask := range map[string]func(int) error{"asked": mayWrite, "tried": tryToWrite, "tried with a name": tryNamed} {
				if err := user.Do(func() error { return ask(dir) }); (err == nil) != c.may {
					t.Errorf("%s: %v", way, err)
				}
			}
			left, err := os.ReadDir(path)
			must.NoError(t, err)
			must.SliceEmpty(t, left)
		})
	}
}
