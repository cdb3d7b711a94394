// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/public"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Others are the tasks of other users, of whom whoever asks may know no more.
type Others struct {
	CPUs  cpuset.Set // that they are bound to
	Tasks int
}

// readTold reads what the plugin tells a user who may not read state_dir: his own tasks,
// and which cores are taken.
// closed says why this one may not, or that there is none here.
func (f *Facts) readTold(dir string, closed error) error {
	f.Notes = nil
	told, err := public.ReadNode(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w. The owner of a task sees it where the plugin tells him: in %s there is nothing. Is status_dir another folder in the agent's configuration (then -status-dir), or \"\", or does the plugin not run?", closed, dir)
	}
	if err != nil {
		return errors.Join(closed, err)
	}
	own, err := public.ReadTasks(dir, os.Geteuid())
	if err != nil {
		return errors.Join(closed, err)
	}
	taken, err := cpuset.Parse(told.Taken)
	if err != nil {
		return fmt.Errorf("read status in %s: %w", dir, err)
	}
	f.Settings = told.Settings
	doubt := told.Doubt(procfs.Root, public.Uptime())
	if doubt == "" && own.Writer != (public.Writer{}) && own.Writer != told.Writer {
		own.Tasks = nil // of an earlier plugin: this one has nothing to tell yet
	}
	if doubt != "" {
		f.Notes = append(f.Notes, "this may be old: "+doubt)
	}
	f.Others = &Others{CPUs: taken, Tasks: max(told.Tasks-len(own.Tasks), 0)}
	for i := range own.Tasks {
		t := taskOf(&own.Tasks[i])
		f.Others.CPUs = f.Others.CPUs.Difference(t.Cores)
		if doubt != "" && !t.lives() {
			f.Notes = append(f.Notes, fmt.Sprintf("task %s of job %s has ended since", t.ID.Task, t.Job()))
			continue
		}
		f.Tasks = append(f.Tasks, t)
	}
	return nil
}

// taskOf is a task as the plugin tells it.
func taskOf(told *public.Task) *Task {
	t := &Task{
		Dir: told.ID.String(), ID: told.ID, Details: told.Details, State: parseState(told.State), Notes: told.Notes,
		Process: pidfile.Record{
			PID: told.Process.PID, StartTime: told.Process.Start, BootID: told.Process.BootID,
			SupervisorPID: told.Process.SupervisorPID, SupervisorStartTime: told.Process.SupervisorStart, Cores: told.Cores,
		},
	}
	var err error
	if t.Cores, err = cpuset.FromSlice(told.Cores); err != nil {
		t.Notes = append(t.Notes, fmt.Sprintf("its cores make no sense: %v", err))
	}
	t.Pinned = !t.Cores.IsEmpty()
	if !t.Pinned && t.State != supervisor.Launching {
		t.Notes = append(t.Notes, "runs without affinity"+t.asked())
	}
	if t.State == supervisor.Orphaned {
		t.Notes = append(t.Notes, "its supervisor is gone, so its exit status will be unknown")
	}
	if len(told.Snapshot) > 0 && json.Unmarshal(told.Snapshot, &t.Progress.Snapshot) == nil {
		t.Progress.Known = string(told.Snapshot) != "null"
	}
	return t
}

// lives reports whether the solver lives, as far as everybody can see.
func (t *Task) lives() bool { return t.Process.Solver().Alive(procfs.Root) }

func parseState(name string) supervisor.State {
	for _, s := range []supervisor.State{supervisor.Launching, supervisor.Orphaned} {
		if s.String() == name {
			return s
		}
	}
	return supervisor.Running
}
