// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"

	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// adoptWithDetails adopts a live task once more whose task.json cannot be read:
// the driver state has what stood in it at the start. The task is another one from
// here on, because nobody expects a task's details to change under a running watch.
func (d *Driver) adoptWithDetails(old *task, h *state.TaskState) *task {
	details, err := state.DecodeDetails(h.Details)
	if err != nil {
		old.logger.Warn("the driver state does not tell the run's details either", "error", err)
		return old
	}
	proc, err := supervisor.OpenKnown(old.record.Dir, h.Process())
	if err != nil {
		old.logger.Error("cannot open the record", "error", err)
		return old
	}
	old.abandon()
	<-old.watched
	if old.isOver() {
		proc.Close()
		return old
	}
	// What a newer plugin wrote is not this one's to replace.
	if _, err := old.record.ReadDetails(); !errors.Is(err, state.ErrNewer) {
		if err := old.record.WriteDetails(&details); err != nil {
			old.logger.Warn("cannot mend the record", "error", err)
		}
	}
	t := d.newTask(old.record, details, old.spec)
	t.openOutputs()
	t.setProcess(proc, pidfile.Record{PID: old.pid, Cores: old.cpus})
	t.unbind.Store(old.unbind.Load())
	d.events.handOver(old, t)
	d.cores.learnParent(details.CgroupParent)
	if details.Reserved {
		d.cores.release(t.id.String()) // they were leased as though the driver had chosen them
		d.restoreCores(t, t.cpus, "")
	}
	t.say("The run's record was damaged and was mended from the driver state")
	t.resumeStop(d.ctx)
	d.add(t)
	return t
}

// judgeAgain reads the outcome of a run once more that ended after it was adopted
// without its details: without them nobody knew where its outputs are, and not even
// a completed run is a success that LS-DYNA did not call one.
func (d *Driver) judgeAgain(old *task, cfg *drivers.TaskConfig, h *state.TaskState) error {
	if err := d.recoverOver(old.record, cfg, h); err != nil {
		old.logger.Error("cannot read the outcome again with the details of the driver state", "error", err)
		return err
	}
	d.events.forget(old)
	return nil
}
