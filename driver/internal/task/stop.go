// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/keeper"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/monotonic"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/switches"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// leastGrace is what a stop that is resumed leaves the solver at least, unless it
// had less from the start: its deadline may have passed while no plugin was there.
const leastGrace = 10 * time.Second

// stopper lets one stop of a run be under way at a time.
type stopper struct {
	turn    chan struct{}                      // holds a value while none is
	resumed atomic.Pointer[context.CancelFunc] // ends a stop that was resumed
}

func (s *stopper) init() {
	s.turn = make(chan struct{}, 1)
	s.turn <- struct{}{}
}

// take waits for the turn.
func (s *stopper) take(ctx context.Context) (done func(), err error) {
	select {
	case <-s.turn:
		return func() { s.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Stop ends the run within the timeout: the sense switch, then the signal, then
// SIGKILL to every process. It returns when none of them is left, whether or not
// the run folder answers. The stop is recorded before it begins, so that another
// plugin process can finish it.
func (h *Handle) Stop(ctx context.Context, timeout time.Duration, sig syscall.Signal) error {
	_, _ = h.advance(stop) // legal in every phase
	if yield := h.stopper.resumed.Load(); yield != nil {
		(*yield)() // Nomad asks again, and gives time of its own
	}
	done, err := h.stopper.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	if h.IsGone() {
		if h.Record() == nil {
			h.stopBy(time.Now()) // somebody waits: awaitRecord gives it a moment
		}
		return h.WaitEnded(ctx)
	}
	order, first := h.stopOrder(time.Now())
	order.Deadline, order.Signal = time.Now().Add(timeout), unix.SignalName(sig)
	if err := h.kept.WriteStop(order); err != nil {
		h.logger.Warn("cannot record the stop; a plugin that comes after this one will not finish it", "error", err)
	}
	return h.carryOut(ctx, order, first, "Stopping with "+h.stopSwitchName())
}

func (h *Handle) stopSwitchName() string {
	if d := h.Details(); d != nil {
		return d.Stop
	}
	return ""
}

// stopOrder returns the stop that was begun before, or a new one, and whether it is
// new.
func (h *Handle) stopOrder(now time.Time) (order state.Stop, first bool) {
	order, err := h.kept.ReadStop()
	if err == nil {
		return order, false
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, keeper.ErrUnmanaged) {
		h.logger.Warn("cannot read what was stopped before", "error", err)
	}
	order = state.Stop{Began: now}
	if r := h.run.Load(); r != nil {
		order.LastDump = switches.EncodeDump(r.watcher.View().Snapshot.LastDump())
	}
	return order, true
}

// recordDump records the newest dump that was there when a stop's switch was written,
// where that is a newer one than was known when the stop began: it is none of the
// stop's.
func (h *Handle) recordDump(order state.Stop, v *watch.SwitchView) {
	if v == nil || v.Before == nil {
		return
	}
	if was := switches.DecodeDump(order.LastDump); was != nil && was.Same(*v.Before) {
		return
	}
	order.LastDump = switches.EncodeDump(v.Before)
	if err := h.kept.WriteStop(order); err != nil {
		h.logger.Warn("cannot record the dump before the stop", "error", err)
	}
}

// resumeStop goes on with a stop that a plugin process before this one had begun.
// Nomad does not always ask again; where it does, its own StopTask takes over. A run
// whose details are not known waits for them: without its switch the stop would
// cost the dump.
func (h *Handle) resumeStop(ctx context.Context) {
	if h.Details() == nil || h.over {
		return
	}
	order, err := h.kept.ReadStop()
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, keeper.ErrUnmanaged) {
			h.logger.Error("cannot resume the stop of a task", "error", err)
		}
		return
	}
	h.recall(order)
	ctx, cancel := context.WithCancel(ctx)
	// Before the phase changes: a Stop that sees the new one ends this one.
	if !h.stopper.resumed.CompareAndSwap(nil, &cancel) {
		cancel()
		return
	}
	if first, err := h.advance(stop); !first || err != nil {
		cancel()
		return
	}
	order.Deadline = monotonic.ResumedDeadline(order, time.Now(), leastGrace)
	h.stopBy(order.Deadline)
	h.routines.Go(func() {
		defer cancel()
		done, err := h.stopper.take(ctx)
		if err != nil {
			return
		}
		defer done()
		if h.IsGone() {
			return
		}
		if err := h.carryOut(ctx, order, false, "Going on with the stop that an earlier plugin process had begun"); err != nil && ctx.Err() == nil {
			h.logger.Error("cannot stop the task", "error", err)
		}
	})
}

// carryOut takes the steps of a stop by their times, and begins its first event
// with what it does. first says that no process began it before.
func (h *Handle) carryOut(ctx context.Context, order state.Stop, first bool, doing string) error {
	h.stopBy(order.Deadline)
	if h.Follows() {
		return h.stopFollower(ctx, order, doing)
	}
	began := time.Now()
	if h.stopBySwitch(ctx, order, first, doing) || h.stopBySignal(ctx, order) {
		return h.WaitEnded(ctx)
	}
	if err := ctx.Err(); err != nil {
		return err // the driver ends, or Nomad took over
	}
	h.say("The solver did not end within kill_timeout (%s); killing it", time.Since(began).Round(time.Millisecond))
	if err := h.Kill(ctx); err != nil {
		return err
	}
	return h.WaitEnded(ctx)
}

// signalShare is the part of the kill timeout that is kept for the signal
// after the switch: a fifth, at most ten seconds.
func signalShare(timeout time.Duration) time.Duration { return min(timeout/5, 10*time.Second) }

// stopBySwitch writes the sense switch and waits until the solver has ended by
// it, or until the time is up. It reports whether the solver has ended.
func (h *Handle) stopBySwitch(ctx context.Context, order state.Stop, first bool, doing string) bool {
	r, left := h.run.Load(), time.Until(order.Deadline)
	until := order.Deadline.Add(-signalShare(left))
	if r == nil || r.Stop == "" || left <= 0 {
		return false
	}
	sw, err := lsdyna.ParseStop(r.Stop)
	if err != nil {
		return false
	}
	// What the folder is asked ends with the switch's time, or with the solver.
	asking, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	ended := make(chan struct{})
	defer func() { cancel(); <-ended }()
	go func() {
		defer close(ended)
		select {
		case <-h.Process().Done():
			cancel()
		case <-asking.Done():
		}
	}()
	v, err := h.firstLook(asking, r)
	if closed(h.Process().Done()) {
		return true
	}
	if err != nil {
		if ctx.Err() == nil {
			h.say("No sense switch is sent: %v", err)
		}
		return false
	}
	if p := v.Snapshot.Phase; p == output.PhaseStarting || p == output.PhaseLicence {
		return false // it does not look at switches yet, and there is nothing to dump
	}
	err = h.sendStop(asking, r, watch.Sending{
		Switch: sw, Asked: order.Began, Again: true, First: first, LastDump: switches.DecodeDump(order.LastDump),
		Written: func() {
			grace := time.Until(until)
			h.say("%s; the solver has %s for it%s", doing, switches.Short(grace), tooShort(v.Snapshot, grace))
		},
	})
	if err != nil {
		if closed(h.Process().Done()) || ctx.Err() != nil {
			return closed(h.Process().Done())
		}
		h.say("Cannot write the sense switch %s: %v", r.Stop, err)
		return false
	}
	h.recordDump(order, r.watcher.View().Switch)
	return h.awaitSwitch(ctx, r, v.Snapshot, until, order.Deadline)
}

// sendStop sends the sense switch of a stop. A folder that cannot be opened or that
// fails at the moment is tried again: there is time, and the dump is worth it.
func (h *Handle) sendStop(ctx context.Context, r *run, s watch.Sending) error {
	for {
		err := r.watcher.Send(ctx, s)
		if !rundir.Unreadable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(switches.Look):
		}
	}
}

// firstLook returns what is known of the outputs. It waits for the first look
// only: a folder that does not answer at the moment holds up nothing that is known.
func (h *Handle) firstLook(ctx context.Context, r *run) (watch.View, error) {
	const moment = time.Second
	for {
		look, cancel := context.WithTimeout(ctx, moment)
		v, err := r.watcher.Look(look)
		cancel()
		if v.Gone != nil {
			return v, v.Gone
		}
		if v.Looks > 0 {
			return v, nil
		}
		select {
		case <-ctx.Done():
			return v, errors.Join(err, v.Err)
		case <-time.After(switches.Look):
		}
	}
}

// awaitSwitch waits until the solver has ended by the switch. A dump that is
// being written is not cut by a signal as long as there is time at all. A switch ends one
// run of a process that makes several (case): the next has computed nothing yet, and does
// not look for switches while it reads its deck, so that the signal follows at once. was
// is the run when the switch was sent.
func (h *Handle) awaitSwitch(ctx context.Context, r *run, was output.Snapshot, until, deadline time.Time) bool {
	look := time.NewTimer(time.Until(until)) // a late look would take the signal's time
	defer look.Stop()
	next := time.NewTicker(switches.Look)
	defer next.Stop()
	held := false
	for {
		select {
		case <-h.Process().Done():
			return true
		case <-ctx.Done():
			return false
		case <-next.C:
			if s := r.watcher.View().Snapshot; s.Before > was.Before {
				h.say("The switch has ended %s, and the process goes on with %s: ending it", was.Case(), s.Case())
				return false
			}
		case now := <-look.C:
			sent := r.watcher.View().Switch
			if sent == nil || !sent.Dump.Growing || now.After(deadline) {
				return false
			}
			if !held {
				held = true
				h.say("The solver still writes its dump; no signal is sent while it does")
			}
			look.Reset(switches.Look)
		}
	}
}

// stopBySignal tells how far the switch came, sends the signal, and waits until the
// solver has ended. Where none of its processes is left the supervisor is about to
// record the end, which a busy disk may delay.
func (h *Handle) stopBySignal(ctx context.Context, order state.Stop) bool {
	if pids, err := h.PIDs(); err == nil && len(pids) == 0 {
		return h.awaitDone(ctx, order.Deadline)
	}
	if ctx.Err() == nil {
		h.tellHowFar()
	}
	if ctx.Err() != nil || !time.Now().Before(order.Deadline) {
		return false
	}
	sig, err := StopSignal(order.Signal)
	if err != nil {
		sig = syscall.SIGTERM
	}
	switch err := h.Signal(sig); {
	case errors.Is(err, os.ErrProcessDone):
	case err != nil:
		h.logger.Warn("cannot signal the solver", "signal", sig, "error", err)
		return false
	default:
		h.say("Sent %s to the solver", unix.SignalName(sig))
	}
	return h.awaitDone(ctx, order.Deadline)
}

// awaitDone waits until the supervisor has recorded how the run ended. It reports false
// where that takes too long.
func (h *Handle) awaitDone(ctx context.Context, deadline time.Time) bool {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-h.Process().Done():
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// AwaitStop waits for a run that is being stopped: Nomad may take it for ended
// when the plugin died in the middle of its stop. It reports whether none of its
// processes is left; false for a run that is not being stopped, or does not end.
func (h *Handle) AwaitStop(ctx context.Context) bool {
	until := h.stopDeadline()
	if h.Phase() != Stopping || until.IsZero() {
		return h.IsGone()
	}
	ctx, cancel := context.WithDeadline(ctx, until.Add(leastGrace+killPatience))
	defer cancel()
	return h.waitGone(ctx) == nil
}
