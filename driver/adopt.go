// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/placement"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/recovery"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/statedir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Adoption reads state_dir, /proc and cgroups, and nothing else: Nomad's client
// waits for it, and a run folder may hang. The folders are opened later, each by its
// run's own watcher.

// live is a solver that was found by its record.
type live struct {
	record  *state.Record
	process *supervisor.Process
	pid     pidfile.Record
	pidErr  error          // of the pid file
	details *state.Details // nil: the record does not tell
}

// trusted reports whether the pid file tells the solver's cores.
func (l *live) trusted() bool {
	return l.pid.PID != 0 && !errors.Is(l.pidErr, errForeignPID) && !errors.Is(l.pidErr, pidfile.ErrNoCores) && !errors.Is(l.pidErr, pidfile.ErrNoPID)
}

// errForeignPID means that a pid file names other processes than the driver state:
// somebody changed it.
var errForeignPID = errors.New("the pid file names processes that are not the task's")

// adoptAll adopts every live solver, by the records on disk, before the first task
// is started: nothing else tells which cores are taken.
func (d *Driver) adoptAll(store *state.Store) {
	records, err := store.Records()
	if err != nil {
		d.logger.Error("some records cannot be read", "error", err)
	}
	found := d.discover(records)
	// Each gets what it still can have of what it had, before any gets others. A run
	// whose pid file does not tell its cores may have lost those it began with: it must
	// not take another's, whose pid file does.
	for _, trusted := range []bool{true, false} {
		for _, l := range found {
			if l != nil && l.trusted() == trusted {
				d.adopt(l)
			}
		}
	}
	for _, u := range d.listUnmanaged() {
		d.hold(u) // those whose records tell nothing
	}
	d.cores.Settle()
	var over []*state.Record
	for i, l := range found {
		if l == nil {
			over = append(over, records[i])
		}
	}
	d.routines.Go(func() { statedir.RemoveStale(d.ctx, over, d.logger) })
}

// discover opens the records, several at a time: it is mostly system calls, and
// Nomad waits for them. What it returns is in the order of the records, nil where
// there is no live solver.
func (d *Driver) discover(records []*state.Record) []*live {
	all := make([]*live, len(records))
	var workers errgroup.Group
	workers.SetLimit(runtime.GOMAXPROCS(0))
	for i, record := range records {
		workers.Go(func() error {
			all[i] = d.open(record)
			return nil
		})
	}
	_ = workers.Wait() // none fails
	return all
}

// open opens a record, and returns nil where there is no live solver.
func (d *Driver) open(record *state.Record) *live {
	proc, err := supervisor.Open(record.Dir)
	if err != nil {
		d.logger.Error("cannot open a record", "record", record.Dir, "error", err)
		return nil
	}
	how, pid, pidErr := proc.Found()
	if how == supervisor.Ended {
		proc.Close()
		return nil
	}
	if spec := proc.Spec(); spec != nil && spec.TaskID != record.ID.String() {
		d.logger.Warn("a record is a copy of another one", "record", record.Dir, "of", spec.TaskID)
		proc.Close()
		return nil
	}
	l := &live{record: record, process: proc, pid: pid, pidErr: pidErr}
	if details, err := record.ReadDetails(); err == nil {
		l.details = &details
	} else {
		d.logger.Warn("a live solver's record is damaged", "record", record.Dir, "error", err)
	}
	if tree, err := proc.Tree(); pidErr == nil && err == nil && !tree.HoldsMain() {
		d.logger.Warn("a pid file names a process that is not the task's", "record", record.Dir, "pid", pid.PID)
		l.pidErr = errForeignPID
	}
	return l
}

// adopt leases to a live solver the cores it has, and watches it.
func (d *Driver) adopt(l *live) *task.Handle {
	if u := d.unmanagedRun(l.record.ID); u != nil {
		return d.adoptUnmanaged(u, l)
	}
	h := d.newHandle(task.Options{
		ID: l.record.ID, Record: l.record, Spec: l.process.Spec(), Details: l.details,
		Process: l.process, PID: l.pid, Phase: task.Adopted,
	})
	h.Binder.Adopt(l.process, l.pid, l.trusted())
	d.add(h)
	if l.details != nil && l.details.StartFailed {
		d.routines.Go(func() { d.forget(h, h.Gone()) })
	}
	return h
}

// forget forgets a run with its record for which Nomad will never ask, as soon as it is
// over: what a failed start could not end, or a start that Nomad never learnt of.
func (d *Driver) forget(h *task.Handle, over <-chan struct{}) {
	select {
	case <-over:
	case <-d.ctx.Done():
		return
	}
	// Not while another start of the task has a record of the same name.
	unlock, err := d.starts.Lock(d.ctx, startKey(h.ID.Alloc, h.ID.Task))
	if err != nil {
		return
	}
	defer unlock()
	h.Abandon()
	now, err := d.task(h.ID.String())
	d.runs.Remove(h)
	if err != nil || now != h {
		return
	}
	if err := h.Record().Remove(); err != nil {
		h.Logger().Warn("cannot remove the record of a run that Nomad does not know", "error", err)
	}
}

// newHandle makes a handle of what is known of a run.
func (d *Driver) newHandle(o task.Options) (h *task.Handle) {
	d.complete(&o, func(words string, asBefore bool) {
		if heard := recovery.Tell(h.Record(), h.Events, words, asBefore, h.Logger()); heard != nil {
			d.routines.Go(func() { heard(d.ctx) })
		}
	})
	h = task.New(o)
	return h
}

// complete adds what every handle has: its logger, its events, its cores. takenUp is
// called with what is to be said of a run that is taken up.
func (d *Driver) complete(o *task.Options, takenUp func(words string, asBefore bool)) {
	id := o.ID
	o.Patience, o.Ledger = d.patience.ends, d.ledger
	o.Program = "nomad-driver-lsdyna " + Version
	o.Successor = func() bool { return d.livesBeside(id) }
	o.Logger = d.logger.With("alloc_id", id.Alloc, "task", id.Task)
	if o.Events == nil {
		o.Events = d.events.Stream(id, o.Logger)
	}
	if o.Binder != nil {
		return
	}
	stream := o.Events
	run := placement.Run{Owner: id.String(), Report: func(text string) { stream.Emit(text) }, TakenUp: takenUp, Logger: o.Logger}
	if o.Details != nil {
		run.Asked, run.Reserved, run.Parent, run.Began = o.Details.CoresAsked, o.Details.Reserved, o.Details.CgroupParent, o.Details.StartedAt
	}
	o.Binder = d.cores.NewBinder(run)
}

// livesBeside reports whether another run of the same task lives.
func (d *Driver) livesBeside(id state.ID) bool {
	return len(d.runs.Find(func(h *task.Handle) bool {
		return h.ID != id && h.ID.Alloc == id.Alloc && h.ID.Task == id.Task && !h.IsGone()
	})) > 0
}
