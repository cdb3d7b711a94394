// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package reap

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
)

// Days of computing must not be lost because a file server is away for a moment.
func TestFirstLook_WaitsForAFolderThatFails(t *testing.T) {
	dir := t.TempDir()
	const line = "     100 t 1.0000E-03 dt 2.00E-06 flush i/o buffers            03/02/25 10:00:01\n"
	must.NoError(t, os.WriteFile(filepath.Join(dir, "stdout"), []byte(line), 0o644))
	failures := 2
	w := watch.Start(watch.Options{
		Open: func() (*rundir.Folder, error) {
			if failures--; failures >= 0 {
				return nil, unix.ESTALE
			}
			return rundir.Open(dir, ".")
		},
		Follow: &rundir.FollowOptions{Stdout: "stdout"},
	})
	t.Cleanup(func() { w.Close(); <-w.Done() })
	v, err := firstLook(t.Context(), w)
	must.NoError(t, err)
	must.Eq(t, output.PhaseSolving, v.Snapshot.Phase)
}

func TestFirstLook_EndsWithTheTimeForTheDump(t *testing.T) {
	w := watch.Start(watch.Options{Open: func() (*rundir.Folder, error) { return nil, unix.ESTALE }, Follow: &rundir.FollowOptions{}})
	t.Cleanup(func() { w.Close(); <-w.Done() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := firstLook(ctx, w)
	must.True(t, rundir.Unreadable(err), must.Sprint(err))
}
