// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"encoding/json"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/watchdog"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ended"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// checkHealth tells the bounds of its health that the run has passed, once each, and does
// what the job asks for then. ctx is Run's.
func (h *Handle) checkHealth(ctx context.Context, r *run, v watch.View) {
	if len(r.Watch) == 0 || r.isFollower() || v.At.IsZero() || h.Phase() >= Stopping {
		return
	}
	if r.dog == nil {
		r.dog = watchdog.New(watchdog.Decode(r.Watch), h.kept.ReadWatch())
	}
	passed, note := r.dog.Look(&v.Snapshot, v.At)
	if note != "" {
		h.say("Watch: %s", note)
	}
	for _, p := range passed {
		switch r.dog.Action() {
		case watchdog.Dump:
			h.say("Watch: %s; the solver is to write a dump (%s)", p.Text, watchSwitch)
			h.dumpForWatch(r)
		case watchdog.Stop:
			h.stopForWatch(ctx, p)
		default:
			h.say("Watch: %s", p.Text)
		}
	}
	if kept, changed := r.dog.State(); changed {
		if err := h.kept.WriteWatch(kept); err == nil {
			r.dog.Kept()
		} else if r.dog.NotKept() {
			h.logger.Warn("cannot record what was told of the run's health; a plugin process that comes before that can be done may tell it anew", "error", err)
		}
	}
}

// watchSwitch has the solver write a dump and go on.
const watchSwitch = "sw3"

// dumpForWatch asks for a dump, before it is recorded that the bound was passed. It is
// asked for once: a folder that does not answer now gets the switch later. What comes of it
// is told as for any switch.
func (h *Handle) dumpForWatch(r *run) {
	sw, err := lsdyna.ParseSwitch(watchSwitch)
	if err == nil {
		err = r.switches.Ask(sw)
	}
	if err != nil {
		h.say("Watch: no dump could be asked for: %v", err)
	}
}

// stopForWatch stops the run, dump first, as somebody would who sees what the watch sees.
// Where Nomad asks for a stop meanwhile, that one goes on with it, by its own time.
func (h *Handle) stopForWatch(ctx context.Context, p watchdog.Passing) {
	cause := verdict.Cause{Kind: output.Stopped, Reason: ended.ByWatch + p.Text, Model: p.Model}
	ctx, cancel := context.WithCancel(ctx)
	if !h.endFor(cause) || !h.stopper.resumed.CompareAndSwap(nil, &cancel) {
		cancel()
		return
	}
	h.say("Watch: %s; stopping the run", p.Text)
	h.routines.Go(func() {
		defer cancel()
		left := h.grace(ctx)
		done, err := h.stopper.take(ctx)
		if err != nil {
			return
		}
		defer done()
		if first, err := h.advance(stop); !first || err != nil {
			return // it has ended, or somebody stops it
		}
		order, first := h.stopOrder(time.Now())
		order.Deadline, order.Signal = time.Now().Add(left), unix.SignalName(syscall.SIGTERM)
		order.Cause, _ = json.Marshal(cause) // plain fields
		if err := h.kept.WriteStop(order); err != nil {
			h.logger.Warn("cannot record the stop; a plugin that comes after this one will not finish it", "error", err)
		}
		if err := h.carryOut(ctx, order, first, "Stopping with "+h.stopSwitchName()); err != nil && ctx.Err() == nil {
			h.logger.Error("cannot stop the task", "error", err)
		}
	})
}

// recall notes why an earlier plugin process had the run stopped.
func (h *Handle) recall(order state.Stop) {
	var c verdict.Cause
	if len(order.Cause) > 0 && json.Unmarshal(order.Cause, &c) == nil {
		h.recallCause(c)
	}
}
