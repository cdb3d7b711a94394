// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/restart"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// checkCompleted finds out whether this task of this allocation has completed its run
// already: Nomad starts the tasks of a service job anew when they end, whatever they
// ended with. Where another allocation has, somebody ran the job again.
func (s *start) checkCompleted() error {
	var done *rundir.Completion
	err := s.inFolder(func(f *rundir.Folder) (err error) {
		done, err = restart.Completed(f, s.id)
		return err
	})
	switch {
	case err != nil || done == nil:
		return err
	case done.Alloc == s.id.Alloc && done.Task == s.id.Task:
		s.run.completed = done
		return nil
	}
	s.run.overwrites = true
	s.events = append(s.events, fmt.Sprintf("Beginning anew, over the results of %s", done))
	return nil
}

// endAsCompleted makes a task that has ended as the run did that its allocation
// completed. Nothing is started and no core is taken.
func (s *start) endAsCompleted() (*drivers.TaskHandle, error) {
	if err := s.makeRecord(); err != nil {
		return nil, err
	}
	s.record.Unlock()
	proc, err := supervisor.Open(s.record.Dir)
	if err != nil {
		return nil, structs.NewRecoverableError(fmt.Errorf("open record: %w", err), true)
	}
	s.watch(proc, task.Attached)
	s.events = append(s.events, fmt.Sprintf("This allocation has completed its run already, at %s: the results stay as they are, and no solver is started. To compute them again, run the job again",
		s.run.completed.Finished.Local().Format(time.DateTime)))
	details, err := s.details.Encode()
	if err != nil {
		return nil, err
	}
	h := drivers.NewTaskHandle(state.TaskStateVersion)
	h.Config = s.cfg
	h.State = drivers.TaskStateRunning
	return h, h.SetDriverState(&state.TaskState{
		Version: state.TaskStateVersion, TaskID: s.cfg.ID, AllocID: s.id.Alloc, Task: s.id.Task, Invocation: s.id.Invocation,
		StartedAt: s.details.StartedAt.UnixNano(), Details: details, DriverPluginVersion: Version,
	})
}
