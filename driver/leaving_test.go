// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// What was asked of a file server for a run that is over, and destroyed meanwhile,
// may be done when the server comes back: it must not meet the next run there.
func TestStart_FolderOfADestroyedRunIsClosedWhileItsServerHangs(t *testing.T) {
	n := newNode(t)
	n.patience.ends.Silent = time.Millisecond
	id := state.ID{Alloc: "alloc", Task: "solve", Invocation: "1"}
	record, err := n.store.Create(id)
	must.NoError(t, err)
	record.Unlock()
	proc, err := supervisor.Open(record.Dir)
	must.NoError(t, err)
	answer := make(chan struct{})
	w := watch.Start(watch.Options{
		Open:   func() (*rundir.Folder, error) { <-answer; return nil, unix.EIO },
		Follow: &rundir.FollowOptions{},
	})
	h := n.newHandle(task.Options{
		ID: id, Record: record, Process: proc, Watcher: w, Phase: task.Attached,
		Details: &state.Details{RunBase: n.work, RunFolder: "run"},
	})
	n.add(h)
	<-h.Ended()
	path := filepath.Join(n.work, "run")
	must.Len(t, 1, n.runs.InFolder(path, rundir.DirID{}))
	must.NoError(t, n.DestroyTask(id.String(), false))
	must.Len(t, 1, n.runs.InFolder(path, rundir.DirID{}))
	next := &start{d: n.Driver, run: runFolder{base: n.work, rel: "run"}}
	locked := make(chan error)
	go func() { locked <- next.lockFolder() }()
	close(answer)
	must.NoError(t, <-locked)
	must.True(t, h.HasLeft())
	must.SliceEmpty(t, n.runs.InFolder(path, rundir.DirID{}))
	next.run.unlock()
}
