// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package hung

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/hangfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
)

// stdout alone tells how a run ended, where it was read to its end. What it does not
// tell may stand in an output that cannot be read.
func TestFinish_OutputOnABadDisk(t *testing.T) {
	if why := hangfs.Missing(); why != "" {
		t.Skip(why)
	}
	const ended, unended = " N o r m a l    t e r m i n a t i o n \n", "       1 t 0.0000E+00 dt 1.00E-04 flush i/o buffers            03/02/25 10:00:00\n"
	for name, c := range map[string]struct {
		stdout string
		bad    string
		told   bool
	}{
		"stdout tells the end":         {ended, "messag", true},
		"stdout does not tell the end": {unended, "messag", false},
		"stdout cannot be read":        {ended, "stdout", false},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			backing, path := filepath.Join(base, "backing"), filepath.Join(base, "run")
			must.NoError(t, os.Mkdir(backing, 0o700))
			must.NoError(t, os.Mkdir(path, 0o700))
			mount, err := hangfs.New(backing, path)
			must.NoError(t, err)
			t.Cleanup(func() { must.NoError(t, mount.Close()) })
			must.NoError(t, os.WriteFile(filepath.Join(backing, "stdout"), []byte(c.stdout), 0o600))
			must.NoError(t, os.WriteFile(filepath.Join(backing, "messag"), []byte(ended), 0o600))
			must.NoError(t, os.Chmod(filepath.Join(backing, c.bad), 0o600|os.ModeSticky))

			w := watch.Start(watch.Options{
				Open:   func() (*rundir.Folder, error) { return rundir.Open(path, ".") },
				As:     func(do func() error) error { return do() },
				Follow: &rundir.FollowOptions{},
			})
			t.Cleanup(func() { w.Close(); <-w.Done() })
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			v, err := w.Finish(ctx)
			must.True(t, rundir.Unreadable(err), must.Sprint(err))
			must.Eq(t, c.told, v.Told)
			if c.told {
				must.Eq(t, output.NormalBanner, v.Snapshot.Banner)
			}
		})
	}
}
