// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// keeping is where what is known of a run is kept. A run that Nomad hands over while
// state_dir cannot be used has no record until Manage brings it: what Nomad's driver
// state tells of it is enough to watch it, to signal it and to stop it with a dump.
type keeping struct {
	record atomic.Pointer[state.Record]
	there  chan struct{} // closed when record is set
}

// errUnmanaged is the error of what needs the record of a run that has none yet.
var errUnmanaged = errors.New("the run's record cannot be used yet")

func (k *keeping) init(r *state.Record) {
	k.there = make(chan struct{})
	if r != nil {
		k.keep(r)
	}
}

// keep sets the record. It must be called once at most.
func (k *keeping) keep(r *state.Record) {
	k.record.Store(r)
	close(k.there)
}

// Record returns the run's record, nil while it cannot be used.
func (k *keeping) Record() *state.Record { return k.record.Load() }

func (k *keeping) readStop() (state.Stop, error) {
	if r := k.Record(); r != nil {
		return r.ReadStop()
	}
	return state.Stop{}, errUnmanaged
}

func (k *keeping) writeStop(s state.Stop) error {
	if r := k.Record(); r != nil {
		return r.WriteStop(s)
	}
	return errUnmanaged
}

// noteUnclaimed notes that Nomad does not ask for the run, and noteClaimed that it does
// after all.
func (k *keeping) noteUnclaimed(since time.Time) error {
	if r := k.Record(); r != nil {
		return r.WriteUnclaimed(since)
	}
	return errUnmanaged
}

func (k *keeping) noteClaimed() error {
	if r := k.Record(); r != nil {
		return r.Claimed()
	}
	return nil
}

// Manage brings the record of a run that had none, with its processes as they are
// found by it and what its pid file says. It must be called once at most.
func (h *Handle) Manage(r *state.Record, p *supervisor.Process, pid pidfile.Record) {
	h.SetProcess(p, pid)
	h.keep(r)
}

// awaitRecord waits, at the end of a run whose record cannot be used, until it can:
// only the record tells how the solver ended. Its cores are free meanwhile. Where the run
// is being stopped somebody waits for its end, and it is waited for no longer than for
// outputs then. It reports false at the end of ctx.
func (h *Handle) awaitRecord(ctx context.Context) bool {
	if h.Record() != nil {
		return true
	}
	if !h.endLeftovers(ctx) {
		return false
	}
	h.Binder.Release()
	_, _ = h.advance(leave) // legal in every phase
	h.say("The solver has ended and its cores are free; how it ended is told when state_dir can be used again; a stop waits up to %s for that", h.patience.Stopped)
	look := time.NewTicker(readPause)
	defer look.Stop()
	var giveUp <-chan time.Time // nil: nobody waits
	for {
		if giveUp == nil && !h.stopDeadline().IsZero() {
			giveUp = time.After(h.patience.Stopped)
		}
		select {
		case <-h.there:
			return true
		case <-giveUp:
			return true
		case <-ctx.Done():
			return false
		case <-look.C:
		}
	}
}

// removeCgroups removes what the supervisor made for the run and could not remove.
func (h *Handle) removeCgroups() error {
	if r := h.Record(); r != nil {
		return supervisor.RemoveCgroups(r.Dir)
	}
	if spec := h.Spec(); spec != nil {
		return spec.Cgroups.RemovePids()
	}
	return nil
}

// emptyCpuset takes the cores out of the task's own cpuset, when the run's cores have been
// given back: nobody writes them there again. A live run that came after this one has the
// same cpuset.
func (h *Handle) emptyCpuset() error {
	if h.successor() {
		return nil
	}
	if r := h.Record(); r != nil {
		return supervisor.EmptyCpuset(r.Dir)
	}
	if spec := h.Spec(); spec != nil {
		return spec.Cgroups.EmptyCpuset()
	}
	return nil
}
