// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
)

// fileServer stands for the file server of a run folder: while it is down, opening
// the folder waits for it.
type fileServer struct{ up chan struct{} }

func (s fileServer) follower(t *testing.T, folder string) *follower {
	t.Helper()
	f := &follower{watcher: watch.Start(watch.Options{Open: func() (*rundir.Folder, error) {
		<-s.up
		return rundir.Open(filepath.Dir(folder), filepath.Base(folder))
	}})}
	t.Cleanup(func() {
		f.watcher.Close()
		<-f.watcher.Done()
	})
	return f
}

func TestFollowers_oneFolderThatDoesNotAnswerHidesNoOther(t *testing.T) {
	dir := nodetest.StateDir(t)
	folder := nodetest.Task{Job: "silent", Alloc: "a", Name: "solve", Cores: []int{0}, Since: time.Hour, Stdout: nodetest.Solving(5, 1e-2)}.Make(t, dir)
	nodetest.Task{Job: "well", Alloc: "b", Name: "solve", Cores: []int{1}, Stdout: nodetest.Solving(5, 1e-2)}.Make(t, dir)
	tasks, _, _, err := readRecords(dir)
	must.NoError(t, err)
	silent, well := tasks[0], tasks[1]
	server := fileServer{up: make(chan struct{})}
	fs := followers{silent.Dir: server.follower(t, folder)}
	began := time.Now()
	for !well.Progress.Known { // on a slow machine not at once
		fs.read(t.Context(), tasks, 200*time.Millisecond)
		must.ErrorIs(t, silent.Progress.Err, rundir.ErrNoAnswer)
		must.False(t, silent.Progress.Known)
	}
	must.NoError(t, well.Progress.Err)
	must.Eq(t, 0.004, well.Progress.Snapshot.Time)
	must.Less(t, time.Minute, time.Since(began))

	close(server.up)
	fs.read(t.Context(), tasks, time.Minute)
	must.NoError(t, silent.Progress.Err)
	must.Eq(t, 0.004, silent.Progress.Snapshot.Time)
	other := fs[well.Dir].watcher
	fs.forget(nil)
	must.MapEmpty(t, fs)
	<-other.Done()
}

// What was read before the time was over is shown.
func TestFollower_outputsThatAreTooLarge(t *testing.T) {
	folder := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(folder, "stdout"), []byte(nodetest.Solving(5, 1e-2)), 0o644))
	server := fileServer{up: make(chan struct{})}
	close(server.up)
	f := server.follower(t, folder)
	ctx, cancel := context.WithCancel(t.Context())
	must.NoError(t, f.watcher.Do(t.Context(), func(d *rundir.Folder) error {
		cancel()
		err := f.readOn(ctx, d, rundir.FollowOptions{})
		must.ErrorIs(t, err, errUnread)
		return nil
	}))
	p := f.progress(errNoAnswer)
	must.ErrorIs(t, p.Err, errUnread)
	must.True(t, p.Known)
	p = f.progress(errNoAnswer) // nothing new since
	must.ErrorIs(t, p.Err, rundir.ErrNoAnswer)
	must.True(t, p.Known)
	p = f.next(t.Context(), rundir.FollowOptions{})
	must.NoError(t, p.Err)
	must.Eq(t, 0.004, p.Snapshot.Time)
}

func TestFollower_aFolderThatCannotBeOpened(t *testing.T) {
	f := follow(&Task{})
	p := f.next(t.Context(), rundir.FollowOptions{})
	must.ErrorContains(t, p.Err, "the record does not name the run folder")
	must.False(t, errors.Is(p.Err, rundir.ErrNoAnswer))
	f.watcher.Close()
	<-f.watcher.Done()
}
