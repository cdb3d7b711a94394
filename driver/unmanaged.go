// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// manageFirst and manageLast are how long after each other it is tried to manage the
// runs whose records could not be used, at first and in the end.
const (
	manageFirst = time.Second
	manageLast  = 15 * time.Second
)

// unmanaged is a run that Nomad handed over while its record could not be used: the
// state_dir has the wrong mode or owner, another plugin has it, a disk is full. That
// passes, and the run must not be lost by it. Nomad's driver state proves which
// processes are its own and tells its cores and its folder.
type unmanaged struct {
	handle *task.Handle
	cfg    *drivers.TaskConfig
	state  *state.TaskState

	// Guarded by Driver.mu.
	told    string // why it is not managed, as an event said
	managed bool
}

// recoverUnready is RecoverTask for as long as the driver is not ready because of why.
// It reports false where it is ready by now.
func (d *Driver) recoverUnready(cfg *drivers.TaskConfig, s *state.TaskState, why error) (done bool, err error) {
	d.preparing.Lock()
	defer d.preparing.Unlock()
	if d.isReady() {
		return false, nil
	}
	if _, err := d.task(s.TaskID); err == nil {
		return true, nil // Nomad asks again
	}
	_, err = d.recoverUnmanaged(cfg, s, why)
	return true, err
}

// recoverUnmanaged makes a task of a driver state alone. Nothing in state_dir is read
// or written for it.
func (d *Driver) recoverUnmanaged(cfg *drivers.TaskConfig, s *state.TaskState, why error) (*unmanaged, error) {
	if d.cores == nil {
		return nil, why // without the machine's cores nothing can be told of the run's
	}
	details, err := state.DecodeDetails(s.Details)
	if err != nil {
		return nil, err
	}
	spec := d.remakeSpec(cfg, s, &details)
	proc := supervisor.Watch(spec, s.Process())
	over := proc.State() == supervisor.Ended
	u := &unmanaged{cfg: cfg, state: s, handle: d.newHandle(task.Options{
		ID: s.ID(), Spec: spec, Details: &details, Process: proc, PID: s.Process(), Phase: task.Attached, Env: cfg.Env, Over: over,
	})}
	if !over {
		u.handle.Binder.Expect(s.Process())
	}
	d.add(u.handle)
	d.tellUnmanaged(u, why)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unmanaged = append(d.unmanaged, u)
	if len(d.unmanaged) == 1 {
		d.routines.Go(d.manageLater)
	}
	return u, nil
}

// tellUnmanaged says why a run is not managed, once.
func (d *Driver) tellUnmanaged(u *unmanaged, why error) {
	d.mu.Lock()
	again := u.told == why.Error()
	u.told = why.Error()
	d.mu.Unlock()
	if again {
		return
	}
	words := "The run goes on, but is not managed yet, which is tried again until it can be"
	if u.handle.Process().State() == supervisor.Ended {
		words = "The solver has ended; how is told when the run's record can be used"
	}
	u.handle.Events.Emit(fmt.Sprintf("%s: %v", words, why))
}

// manageLater has the unmanaged runs managed as soon as that can be. It ends when
// there are none.
func (d *Driver) manageLater() {
	for pause := manageFirst; d.dropManaged(); pause = min(2*pause, manageLast) {
		select {
		case <-d.ctx.Done():
			return
		case <-time.After(pause):
		}
		err := d.ready()
		for _, u := range d.listUnmanaged() {
			if err != nil {
				d.tellUnmanaged(u, err)
				continue
			}
			unlock, err := d.starts.Lock(d.ctx, startKey(u.state.AllocID, u.state.Task))
			if err != nil {
				return
			}
			d.manage(u)
			unlock()
		}
	}
}

// listUnmanaged returns the runs that are not managed.
func (d *Driver) listUnmanaged() []*unmanaged {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.unmanaged)
}

// unmanagedRun returns a run that has no record yet, nil where there is none such.
func (d *Driver) unmanagedRun(id state.ID) *unmanaged {
	for _, u := range d.listUnmanaged() {
		if u.handle.ID == id && u.handle.Record() == nil {
			return u
		}
	}
	return nil
}

// dropManaged forgets the runs that are managed by now, and those that Nomad has
// stopped or destroyed. It reports whether any is left.
func (d *Driver) dropManaged() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unmanaged = slices.DeleteFunc(d.unmanaged, func(u *unmanaged) bool {
		return u.managed || u.handle.IsEnded() || !d.runs.Has(u.handle)
	})
	return len(d.unmanaged) > 0
}

// manageAll has what is left of the unmanaged runs managed, when state_dir was taken
// and the records in it were adopted. No start comes before it.
func (d *Driver) manageAll() {
	for _, u := range d.listUnmanaged() {
		d.manage(u)
	}
}

// manage finds the record of an unmanaged run, or makes it anew. Where that fails,
// the run's cores are kept from others.
func (d *Driver) manage(u *unmanaged) {
	now, err := d.task(u.state.TaskID)
	d.mu.Lock()
	managed := u.managed
	d.mu.Unlock()
	if managed || err != nil || now != u.handle { // destroyed
		return
	}
	if u.handle.Record() != nil { // adopted with all others
		d.settle(u.handle, u.state)
	} else if err := d.recover(u.cfg, u.state); err != nil {
		d.hold(u)
		d.tellUnmanaged(u, err)
		return
	}
	d.mu.Lock()
	u.managed = true
	d.mu.Unlock()
	u.handle.Events.Emit("The run is managed again")
}

// hold keeps the cores of a live run whose record cannot be used from others.
func (d *Driver) hold(u *unmanaged) {
	if u.handle.Record() == nil && u.handle.Process().State() != supervisor.Ended {
		u.handle.Binder.Hold(u.state.Process())
	}
}

// adoptUnmanaged gives an unmanaged run its record, and the cores that its pid file
// tells.
func (d *Driver) adoptUnmanaged(u *unmanaged, l *live) *task.Handle {
	u.handle.Manage(l.record, l.process, l.pid)
	u.handle.Binder.Adopt(l.process, l.pid, l.trusted())
	if l.details == nil {
		d.repairRecord(u.handle, u.state)
	}
	return u.handle
}
