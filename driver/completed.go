// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/restart"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// checkCompleted finds out whether this task of this allocation has completed its run
// already: Nomad starts the tasks of a service job anew when they end, whatever they
// ended with. Where another allocation has, somebody ran the job again.
func (s *start) checkCompleted() error {
	if s.isFollower() {
		// Where the leading node's task would end at once, this one waits for nothing.
		if err := s.checkCompletedAsFollower(); err != nil || s.run.completed != nil {
			return err
		}
	}
	var recorded *rundir.Record
	err := s.inFolder(func(f *rundir.Folder) (err error) {
		recorded, err = restart.Completed(f, s.id)
		return err
	})
	if err != nil && s.isFollower() {
		s.d.logger.Warn("cannot tell whether the run was completed before", "alloc_id", s.id.Alloc, "error", err)
		return nil // the leading node's task ends with the error
	}
	if err != nil || recorded == nil {
		return err
	}
	if done := recorded.Completed; done.Alloc == s.id.Alloc && done.Task == s.id.Task {
		s.run.completed = done
		return nil
	}
	s.run.before = recorded
	return nil
}

// checkRepeated finds out whether it may be Nomad that runs a job again which another
// allocation has completed: it replaces an allocation that it calls failed, as it does
// those of a service job, and those of a run whose solver completed and then exited
// with an error. The same deck is not computed again then, over the results. Who wants
// that says so.
func (s *start) checkRepeated() error {
	if s.run.before == nil {
		return nil
	}
	done := s.run.before.Completed
	same := s.job.Restart.Mode == settings.RestartAuto || s.job.Restart.Mode == settings.RestartFrom && s.job.Restart.Dump == done.From
	if same && done.NomadRepeats() && done.IsTask(s.cfg.Namespace, s.cfg.JobID, s.cfg.Name) {
		if err := s.readDeck(); err != nil {
			return err
		}
		if s.run.before.HasCompleted(s.run.deck) {
			s.run.completed = done
			return nil
		}
	}
	if !s.isFollower() && s.job.Restart.Mode != settings.RestartFrom {
		s.events = append(s.events, fmt.Sprintf("Beginning anew, over the results of %s", done))
	}
	return nil
}

// endAsCompleted makes a task that has ended as the run did that its allocation
// completed. Nothing is started and no core is taken.
func (s *start) endAsCompleted() (*drivers.TaskHandle, error) {
	if err := s.noteRestarted(); err != nil {
		return nil, structs.NewRecoverableError(fmt.Errorf("cannot note that a completed run was started again: %w", err), true)
	}
	if err := s.makeRecord(); err != nil {
		return nil, err
	}
	s.record.Unlock()
	proc, err := supervisor.Open(s.record.Dir)
	if err != nil {
		return nil, structs.NewRecoverableError(fmt.Errorf("open record: %w", err), true)
	}
	s.watch(proc, task.Attached)
	const stay = "the results stay as they are, and no solver is started. To compute them again, "
	if s.run.before == nil {
		s.events = append(s.events, fmt.Sprintf("This allocation has completed its run already, at %s: %sstop the job with nomad job stop -purge, and run it again with restart = \"never\"", s.run.completed.Finished.Local().Format(time.DateTime), stay))
	} else {
		s.events = append(s.events, fmt.Sprintf("This job has completed its run already, and Nomad may start it again by itself, over %s: %sset restart = \"never\", or give the job another run folder", s.run.completed, stay))
	}
	s.run.closeLock()
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
