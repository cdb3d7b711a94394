// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Record returns the run's record, nil while it cannot be used.
func (h *Handle) Record() *state.Record { return h.kept.Record() }

// Manage brings the record of a run that had none, with its processes as they are
// found by it and what its pid file says. It must be called once at most.
func (h *Handle) Manage(r *state.Record, p *supervisor.Process, pid pidfile.Record) {
	h.SetProcess(p, pid)
	h.kept.Keep(r)
}

// recordPause is how often a record that cannot be used is waited for anew.
const recordPause = 500 * time.Millisecond

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
	look := time.NewTicker(recordPause)
	defer look.Stop()
	var giveUp <-chan time.Time // nil: nobody waits
	for {
		if giveUp == nil && !h.stopDeadline().IsZero() {
			giveUp = time.After(h.patience.Stopped)
		}
		select {
		case <-h.kept.There():
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
