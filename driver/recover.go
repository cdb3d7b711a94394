// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// RecoverTask finds a task again after the plugin, the client or both went
// away, and gives it the cores it had. It walks StartTask back: driver state,
// record, process, cores; its run folder is opened by its watcher. It returns an
// error only for a driver state that cannot be read; whatever else there is to say
// of a task (it runs, it ended, it is lost) WaitTask delivers, so that Nomad's
// restart policy decides. A finished task takes no cores. Where state_dir cannot be
// used at the moment the task is made of the driver state alone (unmanaged).
func (d *Driver) RecoverTask(handle *drivers.TaskHandle) error {
	if handle == nil || handle.Config == nil {
		return errors.New("cannot recover a task without its handle")
	}
	var s state.TaskState
	if err := handle.GetDriverState(&s); err != nil {
		return fmt.Errorf("decode driver state: %w", err)
	}
	if err := s.Validate(); err != nil {
		return err
	}
	patience := readyPatience
	if len(d.listUnmanaged()) > 0 {
		patience = 0 // it was waited for already
	}
	why := d.waitReady(patience)
	if errors.Is(why, errDisabled) {
		return why
	}
	unlock, err := d.starts.Lock(d.ctx, startKey(s.AllocID, s.Task))
	if err != nil {
		return err
	}
	defer unlock()
	if why != nil {
		if done, err := d.recoverUnready(handle.Config, &s, why); done {
			return err
		}
	}
	if h, err := d.task(s.TaskID); err == nil {
		d.attach(h, handle.Config, &s)
		return nil
	}
	if err := d.recover(handle.Config, &s); err != nil {
		d.logger.Error("cannot use the record of a task", "task", s.TaskID, "error", err)
		u, err := d.recoverUnmanaged(handle.Config, &s, err)
		if err != nil {
			return err
		}
		d.hold(u)
	}
	return nil
}

// recover finds the record of a task that no handle has, or makes it anew.
func (d *Driver) recover(cfg *drivers.TaskConfig, s *state.TaskState) error {
	record, err := d.store.Record(s.ID())
	if err != nil {
		return d.recoverLost(cfg, s)
	}
	l := d.open(record)
	if l == nil {
		return d.recoverByDriverState(record, cfg, s)
	}
	if h := d.adopt(l); h.IsAttached() { // it was unmanaged
		d.settle(h, s)
	} else {
		d.attach(h, cfg, s)
	}
	return nil
}

// startKey is the key of the lock for starts and recoveries of a task.
func startKey(alloc, name string) string { return "task " + alloc + "/" + name }

// attach hands an adopted run to Nomad.
func (d *Driver) attach(h *task.Handle, cfg *drivers.TaskConfig, s *state.TaskState) {
	if first := h.Attach(func() *state.Details { return d.repairRecord(h, s) }, s.Process(), cfg.Env); first {
		d.settle(h, s)
	}
}

// settle settles which cores an adopted run has. The pid file's count first, then the
// driver state's; what neither knows was settled when the run was adopted.
func (d *Driver) settle(h *task.Handle, s *state.TaskState) {
	if h.IsGone() {
		return
	}
	rec, err := h.Process().Record()
	if err == nil && rec.Contradicts(s.Process()) {
		err = errForeignPID
	}
	if err == nil {
		if h.PID() == 0 { // it was adopted in the middle of its launch
			h.SetProcess(h.Process(), rec)
		}
		h.Binder.AttachByPIDFile(rec)
		return
	}
	h.Logger().Warn("the pid file does not tell the cores; using the driver state", "error", err)
	proc, err := supervisor.OpenKnown(h.Record().Dir, s.Process())
	if err != nil {
		h.Logger().Error("cannot open the record with the driver state", "error", err)
		h.Binder.AttachByDriverState(nil, s.Process())
		return
	}
	h.SetProcess(proc, s.Process())
	h.Binder.AttachByDriverState(proc, s.Process())
}

// repairRecord returns the details of a run whose record does not tell them, from
// the driver state, which has what stood in the record at the start; nil where that
// does not tell them either.
func (d *Driver) repairRecord(h *task.Handle, s *state.TaskState) *state.Details {
	details, err := state.DecodeDetails(s.Details)
	if err != nil {
		h.Logger().Warn("the driver state does not tell the run's details either", "error", err)
		return nil
	}
	// What a newer plugin wrote is not this one's to replace.
	if _, err := h.Record().ReadDetails(); !errors.Is(err, state.ErrNewer) {
		if err := h.Record().WriteDetails(&details); err != nil {
			h.Logger().Warn("cannot repair the record", "error", err)
		}
	}
	h.Binder.Amend(details.CoresAsked, details.Reserved, details.CgroupParent)
	h.Events.Emit("The run's record was damaged and was repaired from the driver state")
	return &details
}

// recoverByDriverState makes a task of a record whose pid file names no live
// process. Whether the run has ended, only the driver state can tell then.
func (d *Driver) recoverByDriverState(record *state.Record, cfg *drivers.TaskConfig, s *state.TaskState) error {
	details, err := record.ReadDetails()
	if err != nil {
		if details, err = state.DecodeDetails(s.Details); err != nil {
			return err
		}
	}
	known := s.Process()
	spec, err := supervisor.ReadSpec(record.Dir)
	if err != nil && (known.SupervisorAlive(procfs.Root) || known.Alive(procfs.Root)) {
		// Nobody finds its processes without: the record was made anew, and a disk was full.
		spec = d.remakeSpec(cfg, s, &details)
		if err := supervisor.WriteSpec(record.Dir, spec); err != nil {
			return err
		}
	}
	proc, err := supervisor.OpenKnown(record.Dir, known)
	if err != nil {
		return fmt.Errorf("open record: %w", err)
	}
	d.addRecovered(task.Options{Record: record, Spec: spec, Details: &details, Process: proc}, cfg, s)
	return nil
}

// remakeSpec makes the specification of a run whose record does not have it. Nothing
// is launched by it.
func (d *Driver) remakeSpec(cfg *drivers.TaskConfig, s *state.TaskState, details *state.Details) *supervisor.Spec {
	spec := &supervisor.Spec{
		Version: supervisor.SpecVersion, TaskID: s.TaskID, CPUs: s.Cores, Dir: filepath.Join(details.RunBase, details.RunFolder), User: task.UserOf(details),
		Command: "/nonexistent", StdoutName: stdoutName, StderrName: stderrName,
	}
	d.cores.RemakeSpec(spec, cfg)
	return spec
}

// recoverLost makes a task of a driver state whose record is gone.
func (d *Driver) recoverLost(cfg *drivers.TaskConfig, s *state.TaskState) error {
	details, err := state.DecodeDetails(s.Details)
	if err != nil {
		return err
	}
	record, err := d.store.Create(s.ID())
	if err != nil {
		return err
	}
	defer record.Release()
	if err := record.WriteDetails(&details); err != nil {
		return err
	}
	spec := d.remakeSpec(cfg, s, &details)
	if err := supervisor.WriteSpec(record.Dir, spec); err != nil {
		return err
	}
	record.Release()
	proc, err := supervisor.OpenKnown(record.Dir, s.Process())
	if err != nil {
		return err
	}
	if h := d.addRecovered(task.Options{Record: record, Spec: spec, Details: &details, Process: proc}, cfg, s); h != nil {
		h.Events.Emit("The run's record was lost and was made anew from the driver state")
	}
	return nil
}

// addRecovered makes a task known that was found by the driver state, and gives it
// its cores if it lives. It returns nil for one that is over.
func (d *Driver) addRecovered(o task.Options, cfg *drivers.TaskConfig, s *state.TaskState) *task.Handle {
	o.ID, o.PID, o.Phase, o.Env = s.ID(), s.Process(), task.Attached, cfg.Env
	o.Over = o.Process.State() == supervisor.Ended
	u := d.unmanagedRun(o.ID)
	var h *task.Handle
	if u != nil {
		h = u.handle
		h.Manage(o.Record, o.Process, o.PID)
	} else {
		h = d.newHandle(o)
	}
	if !o.Over {
		h.Binder.AttachByDriverState(o.Process, s.Process())
	}
	if u == nil {
		d.add(h)
	}
	if o.Over {
		return nil
	}
	return h
}
