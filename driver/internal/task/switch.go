// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/switches"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/killfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
)

// StopSignal returns the signal that follows the sense switch: the task's
// kill_signal, or SIGTERM.
func StopSignal(name string) (syscall.Signal, error) {
	if name == "" {
		return syscall.SIGTERM, nil
	}
	return LookupSignal(name)
}

// LookupSignal returns the signal of a name such as SIGTERM.
func LookupSignal(name string) (syscall.Signal, error) {
	sig := unix.SignalNum(name)
	if sig == 0 {
		return 0, fmt.Errorf("unknown signal %q: use a name such as SIGTERM, SIGINT or SIGUSR1", name)
	}
	return sig, nil
}

// requestPatience bounds what an operator waits for who sends a sense switch.
const requestPatience = 15 * time.Second

// SendSwitch sends a sense switch that was asked for by a signal, when those before it
// have had their effect. What comes of it is told in events.
func (h *Handle) SendSwitch(ctx context.Context, name, signal string) error {
	sw, err := lsdyna.ParseSwitch(name)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%s is the sense switch %s", signal, sw.Word())
	if sw.Terminates {
		return fmt.Errorf("%s, which ends the run: nomad alloc stop does that, with the switch that the job's stop names", what)
	}
	r := h.run.Load()
	if r == nil {
		return fmt.Errorf("%s, and the run's record does not tell its folder", what)
	}
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	if r.isFollower() {
		return fmt.Errorf("%s, which the node sends that leads the run: give the signal to %s", what, h.leadingAlloc(ctx, r))
	}
	v, err := r.watcher.Look(ctx)
	if err != nil {
		return fmt.Errorf("%s, which cannot be written: %w", what, err)
	}
	if p := v.Snapshot.Phase; p == output.PhaseStarting || p == output.PhaseLicence {
		return fmt.Errorf("%s, and the solver does not look for switches before it computes: try again later", what)
	}
	if end, ok := sw.EndTime(); ok && v.Snapshot.HasTime && end <= v.Snapshot.Time {
		return fmt.Errorf("%s, which ends the run: it has passed that time and is at t = %.4g; nomad alloc stop ends it, with a dump", what, v.Snapshot.Time)
	}
	if err := h.checkStopping(); err != nil {
		return fmt.Errorf("%s, but %w", what, err)
	}
	err = r.switches.Send(ctx, sw, false)
	switch {
	case errors.Is(err, killfile.ErrPending):
		return fmt.Errorf("%s: %w", what, err)
	case err != nil:
		return fmt.Errorf("%s, which cannot be written: %w", what, err)
	}
	return nil
}

var errStopping = errors.New("the run is being stopped")

// checkStopping returns an error where no switch is sent any more but the stop's.
func (h *Handle) checkStopping() error {
	if h.Phase() >= Stopping {
		return errStopping
	}
	return nil
}

// goOn tells what came of the sense switches, and sends the next of those that wait. ctx
// is Run's.
func (h *Handle) goOn(ctx context.Context, r *run) {
	r.switches.Load(h.Record())
	h.tellSwitches(r.watcher.View(), switches.Ending{})
	if err := h.checkStopping(); err != nil {
		h.refuseSwitches(r, err.Error())
		return
	}
	r.switches.Next(ctx, func(do func()) { h.routines.Go(do) }, func(text string) { h.Events.Emit(text) })
}

// refuseSwitches says of the switches that wait that they are not sent.
func (h *Handle) refuseSwitches(r *run, why string) {
	for _, text := range r.switches.Refuse(why) {
		h.Events.Emit(text)
	}
}

// tellSwitches tells each step of the last sense switch, and of the one whose place it
// took, once.
func (h *Handle) tellSwitches(v watch.View, end switches.Ending) {
	for _, sent := range []*watch.SwitchView{v.Former, v.Switch} {
		if sent != nil {
			h.tellSwitch(sent, end)
		}
	}
}

func (h *Handle) tellSwitch(v *watch.SwitchView, end switches.Ending) {
	if taken := h.alerts.sent.Taken(v); taken != "" {
		h.Events.Emit(taken)
	}
	effect := h.alerts.sent.Effect(v, end)
	if effect == "" {
		return
	}
	if v.Switch.Terminates {
		h.life.mu.Lock()
		h.life.effect = effect
		h.life.mu.Unlock()
	}
	r := h.run.Load()
	if asked, n := r.switches.Finish(v); asked != nil && asked.Checkpoint {
		h.tellCheckpoint(r, v, n, effect)
		return
	}
	h.Events.Emit(effect)
}

// StopEffect is what was told of the sense switch of the run's stop, when it had ended;
// "" where there was nothing to tell.
func (h *Handle) StopEffect() string {
	h.life.mu.Lock()
	defer h.life.mu.Unlock()
	return h.life.effect
}

// tellHowFar tells how far a stop's switch came that did not end the solver in
// time.
func (h *Handle) tellHowFar() {
	r := h.run.Load()
	if r == nil {
		return
	}
	switch sent := r.watcher.View().Switch; {
	case sent == nil || !sent.Switch.Terminates:
	case sent.Taken.IsZero():
		h.say("The solver did not take it (%s) within %s", sent.Name(), switches.Short(time.Since(sent.Asked)))
	case sent.Dump.Complete:
		h.say("The solver took it (%s) and its dump is complete, but it still runs", sent.Name())
	default:
		h.say("The solver took it (%s), but has written no complete dump and still runs", sent.Name())
	}
}

// nomadKillTimeout is what a job has that names no kill_timeout, and
// nomadMaxKillTimeout the most that a client allows unless it is told otherwise.
const (
	nomadKillTimeout    = 5 * time.Second
	nomadMaxKillTimeout = 30 * time.Second
)

// tooShort warns in a stop's first event that its time will not do.
func tooShort(s output.Snapshot, left time.Duration) string {
	if s.SwitchDelay <= left {
		return ""
	}
	return fmt.Sprintf(", but looks for it only about every %s: kill_timeout is too short for this run", switches.Short(s.SwitchDelay))
}

// checkSwitchDelay says once that a stop needs more time than Nomad gives by
// default: how much this job gives is told to the driver only with the stop. A
// run that was adopted with its rate known had it told before.
func (h *Handle) checkSwitchDelay(r *run, s output.Snapshot) {
	if r.Stop == "" || h.alerts.delayTold || s.SwitchDelay == 0 {
		return
	}
	first := !h.alerts.delayKnown
	h.alerts.delayKnown = true
	if s.SwitchDelay <= nomadKillTimeout-signalShare(nomadKillTimeout) {
		return
	}
	h.alerts.delayTold = true
	if h.adopted && first {
		return
	}
	words := fmt.Sprintf("A stop with %s takes this run about %s and then its dump: kill_timeout must be well above that (Nomad's default is %s)",
		r.Stop, switches.Short(s.SwitchDelay), nomadKillTimeout)
	if s.SwitchDelay > nomadMaxKillTimeout/2 {
		words += fmt.Sprintf(", and so must the client's max_kill_timeout (default %s)", nomadMaxKillTimeout)
	}
	h.Events.Emit(words)
}
