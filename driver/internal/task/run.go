// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/events"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/switches"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/workplace"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// roundInterval is how often a run is looked at.
const roundInterval = 2 * time.Second

// Run watches the run until it has ended, or until the driver ends: then the next
// plugin process finds it by its record. It must be called once.
func (h *Handle) Run(driver context.Context) {
	ctx, cancel := context.WithCancel(driver)
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)()
	defer h.close()
	h.resumeStop(ctx)
	ticker := time.NewTicker(roundInterval)
	defer ticker.Stop()
	known, there := h.known, h.kept.There()
	var changed <-chan struct{}
	for freed := false; ; {
		gone := h.Process().Gone()
		if freed {
			gone = nil
		}
		select {
		case <-gone: // the supervisor still copies the rest of the log
			h.Binder.Release()
			freed = true
		case <-h.Process().Done():
			h.end(ctx)
			return
		case <-ctx.Done():
			return
		case <-known: // the details came with Nomad
			known, changed = nil, h.run.Load().watcher.Changed()
			h.resumeStop(ctx)
		case <-there: // with a process of its own
			there = nil
			h.resumeStop(ctx)
		case <-changed:
			h.goOn(ctx, h.run.Load())
		case <-ticker.C:
			h.round(ctx)
		}
	}
}

// close lets go of the processes and the folder, and waits for what the run does
// in the background. The folder's goroutine is waited for a moment only: it may hang.
func (h *Handle) close() {
	h.Process().Close()
	h.routines.Wait()
	r := h.run.Load()
	if r == nil {
		return
	}
	if h.IsEnded() {
		r.watcher.Release()
	} else {
		r.watcher.Close()
	}
	const moment = time.Second
	select {
	case <-r.watcher.Done():
	case <-time.After(moment):
	}
}

// round tells what has changed since the last one, and ends a run that does not
// start.
func (h *Handle) round(ctx context.Context) {
	h.checkSupervisor()
	h.checkClaimed()
	r := h.run.Load()
	if r == nil {
		return
	}
	v := r.watcher.View()
	h.goOn(ctx, r)
	h.tellStalled(r.watcher.Stalled())
	h.tellGone(v.Gone)
	h.tellHeld(v.Held)
	h.checkSwitchDelay(r, v.Snapshot)
	h.tellNodes(v.Snapshot)
	h.checkLicence(r, v.Snapshot)
	h.checkStart(ctx, r, v)
	h.checkHealth(ctx, r, v)
	h.checkCheckpoint(ctx, r, v)
}

// alerts is what was told of a run already.
type alerts struct {
	orphaned   bool
	unclaimed  bool   // that Nomad does not ask for it
	unlicensed bool   // that it waits for a licence
	lost       string // by which line it has lost its licence
	stalled    bool   // that its folder does not answer
	held       string // why its folder cannot be held
	nodes      string // whom the run waits for, or which nodes it has
	nodesStop  string // which node has it stopped
	gone       string // that its path does not lead to its folder any more

	delayKnown, delayTold bool // of the time a switch takes

	sent        switches.Told
	checkpoints toldCheckpoints
}

// checkSupervisor notices that the supervisor was killed under a live solver.
func (h *Handle) checkSupervisor() {
	p := h.Process()
	if h.alerts.orphaned || p.Supervised() || p.State() != supervisor.Orphaned {
		return
	}
	h.alerts.orphaned = true
	h.say("The solver's supervisor was killed; the solver runs on, but its exit status will not be known")
	h.holdFolder() // with the supervisor its lock has gone
}

// tellHeld says once why the run folder cannot be kept for this run.
func (h *Handle) tellHeld(err error) {
	text := ""
	if owned, ok := errors.AsType[*ownership.OwnedError](err); ok {
		text = fmt.Sprintf("Another run is in this run's folder: %v", owned)
	} else if err != nil && !rundir.Unreadable(err) {
		text = fmt.Sprintf("The run folder cannot be kept from other runs: %v", err)
	}
	if text != "" && text != h.alerts.held {
		h.Events.Emit(text)
	}
	h.alerts.held = text
}

// tellGone says once that the run folder's path does not lead to where the solver works
// any more, and that it does again.
func (h *Handle) tellGone(err error) {
	text := ""
	if err != nil {
		then := "Stop the job, and start it again where the deck is"
		if gone, ok := errors.AsType[*workplace.GoneError](err); ok && gone.PID == 0 {
			then = "Start the job again where the deck is"
		}
		text = fmt.Sprintf("%s. %s", events.Sentence(err.Error()), then)
	}
	if text == h.alerts.gone {
		return
	}
	if h.alerts.gone = text; text == "" {
		text = "The run folder's path leads to the solver's working directory again"
	}
	h.Events.Emit(text)
}

// stalledAfter is how long a run folder may be silent before an event says so.
const stalledAfter = 30 * time.Second

// tellStalled says once that the run folder does not answer, and that it does
// again.
func (h *Handle) tellStalled(stalled time.Duration) {
	switch {
	case !h.alerts.stalled && stalled > stalledAfter:
		h.alerts.stalled = true
		h.say("The run folder has not answered for %s: is its file server down? The run can be stopped all the same", stalled.Round(time.Second))
	case h.alerts.stalled && stalled < roundInterval:
		h.alerts.stalled = false
		h.say("The run folder answers again")
	}
}

// licencePatience is how long a solver may be without a licence before an event
// says so: most have it within a second or two.
const licencePatience = 5 * time.Second

// checkLicence says when the solver waits for a licence, and when it got it, if
// only when the run is over: it is silent meanwhile, and holds its cores.
func (h *Handle) checkLicence(r *run, s output.Snapshot) {
	waited := time.Since(h.process.Load().began())
	waits := s.Phase == output.PhaseLicence && !s.LicenceGranted && !h.IsGone()
	switch {
	case waits && !h.alerts.unlicensed && (s.LicenceWaiting || waited > licencePatience):
		words := fmt.Sprintf("Waiting for a licence, for %s now%s", waited.Round(time.Second), r.waitLimit())
		if s.LicenceTrouble != "" {
			words += ": " + s.LicenceTrouble
		}
		h.alerts.unlicensed = true
		h.Events.Emit(words)
	case h.alerts.unlicensed && s.LicenceGranted:
		h.alerts.unlicensed = false
		h.say("Got a licence within %s", waited.Round(time.Second))
	}
	if s.LicenceLost != h.alerts.lost {
		switch h.alerts.lost = s.LicenceLost; {
		case s.LicenceLost != "":
			h.say("The solver has lost its licence, and ends if it does not get it back: %s", s.LicenceLost)
		case !h.IsGone():
			h.say("The solver has its licence back")
		}
	}
}

func (r *run) waitLimit() string {
	if r.StartTimeout <= 0 {
		return " (start_timeout is 0s: without end)"
	}
	return fmt.Sprintf(" (start_timeout %s)", r.StartTimeout)
}

// checkStart ends a solver that does not get going within start_timeout: one
// that waits for a licence can wait for ever. A folder that does not answer says
// nothing of its solver. The end is not waited for: the run is watched meanwhile. ctx
// is Run's.
func (h *Handle) checkStart(ctx context.Context, r *run, v watch.View) {
	s, due := v.Snapshot, h.process.Load().began().Add(startTimeout(&r.Details))
	going := s.LicenceGranted || s.HasTime || s.Phase != output.PhaseStarting && s.Phase != output.PhaseLicence
	if r.StartTimeout <= 0 || r.isFollower() || going || v.At.Before(due) {
		return
	}
	reason := fmt.Sprintf("no licence and no start on the deck within start_timeout %s", r.StartTimeout)
	if s.LicenceTrouble != "" {
		reason += ": " + s.LicenceTrouble
	}
	if !h.endFor(verdict.Cause{Kind: output.LicenceError, Reason: reason}) {
		return
	}
	h.say("Ending the solver: %s", reason)
	h.routines.Go(func() {
		h.killUntil(ctx, h.gone, h.kill)
	})
}
