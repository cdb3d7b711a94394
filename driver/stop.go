// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// killPatience is how long the driver waits for processes to vanish after
// SIGKILL: the kernel may have to write a core file or wait for a disk.
const killPatience = time.Minute

// stopSignal returns the signal that follows the sense switch: the task's
// kill_signal, or SIGTERM.
func stopSignal(name string) (syscall.Signal, error) {
	if name == "" {
		return syscall.SIGTERM, nil
	}
	return lookupSignal(name)
}

func lookupSignal(name string) (syscall.Signal, error) {
	sig := unix.SignalNum(name)
	if sig == 0 {
		return 0, fmt.Errorf("unknown signal %q: use a name such as SIGTERM, SIGINT or SIGUSR1", name)
	}
	return sig, nil
}

// stop ends the run within the timeout: the sense switch, then the signal, then
// SIGKILL to every process. It returns when the task is gone. What is begun is
// recorded, so that another plugin can finish it.
func (t *task) stop(ctx context.Context, timeout time.Duration, sig syscall.Signal) error {
	t.mu.Lock()
	t.stopping = true
	if t.yieldStop != nil {
		t.yieldStop() // Nomad asks again, and gives time of its own
	}
	t.mu.Unlock()
	t.stopMu.Lock()
	defer t.stopMu.Unlock()
	if t.isOver() {
		return nil
	}
	now := time.Now()
	order := t.orderOf(now, t.poll())
	order.Deadline, order.Signal = now.Add(timeout), unix.SignalName(sig)
	if err := t.record.WriteStop(order); err != nil {
		t.logger.Warn("cannot record the stop; a plugin that comes after this one will not finish it", "error", err)
	}
	return t.carryOut(ctx, order, "Stopping with "+t.details.Stop)
}

// orderOf returns the stop that was begun before, or a new one.
func (t *task) orderOf(now time.Time, s output.Snapshot) state.Stop {
	order, err := t.record.ReadStop()
	if err == nil {
		return order
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.logger.Warn("cannot read what was stopped before", "error", err)
	}
	order = state.Stop{Began: now}
	if d := s.LastDump(); d != nil {
		order.LastDump, _ = json.Marshal(d) // plain fields
	}
	return order
}

// leastGrace is what a stop that is taken up again leaves the solver at least,
// unless it had less from the start: its deadline may have passed while no plugin
// was there.
const leastGrace = 10 * time.Second

// resumeStop takes up a stop that a plugin before this one had begun. Nomad does
// not always ask again; where it does, its own StopTask takes over. A task whose
// details cannot be read waits until it is mended: without its switch the stop
// would cost the dump. Nobody else works on the task yet.
func (t *task) resumeStop(driver context.Context) {
	if t.details.TaskID == "" {
		return
	}
	order, err := t.record.ReadStop()
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			t.logger.Error("cannot take up the stop of a task", "error", err)
		}
		return
	}
	ctx, cancel := context.WithCancel(driver)
	order.Deadline = resumedDeadline(order, time.Now())
	t.stopping, t.yieldStop, t.stopUntil = true, cancel, order.Deadline
	go func() {
		defer cancel()
		t.stopMu.Lock()
		defer t.stopMu.Unlock()
		if ctx.Err() != nil || t.isOver() {
			return
		}
		if err := t.carryOut(ctx, order, "Going on with the stop that an earlier plugin process had begun"); err != nil && ctx.Err() == nil {
			t.logger.Error("cannot stop the task", "error", err)
		}
	}()
}

// carryOut takes the steps of a stop and says in its first words what it does. The
// caller holds stopMu.
func (t *task) carryOut(ctx context.Context, order state.Stop, doing string) error {
	t.mu.Lock()
	t.stopUntil = order.Deadline
	t.mu.Unlock()
	began := time.Now()
	if t.stopBySwitch(ctx, order, doing) {
		return t.gone(ctx)
	}
	if ctx.Err() == nil {
		t.sayHowFar()
	}
	if ctx.Err() == nil && time.Now().Before(order.Deadline) && t.stopBySignal(ctx, order) {
		return t.gone(ctx)
	}
	if err := ctx.Err(); err != nil {
		return err // the driver ends, or Nomad took over
	}
	t.say(fmt.Sprintf("The solver did not end within kill_timeout (%s); killing it", time.Since(began).Round(time.Millisecond)))
	kill, cancel := context.WithTimeout(ctx, killPatience)
	defer cancel()
	if err := t.kill(kill); err != nil {
		return err
	}
	return t.gone(ctx)
}

// signalShare is the part of the kill timeout that is kept for the signal
// after the switch: a fifth, at most ten seconds.
func signalShare(timeout time.Duration) time.Duration { return min(timeout/5, 10*time.Second) }

// stopBySwitch writes the sense switch and waits until the solver has ended by
// it, or until the time is up. It returns true when the solver has ended.
func (t *task) stopBySwitch(ctx context.Context, order state.Stop, doing string) bool {
	left := time.Until(order.Deadline)
	until := order.Deadline.Add(-signalShare(left))
	if t.details.Stop == "" || t.folder == nil || left <= 0 {
		return false
	}
	sw, err := lsdyna.ParseSwitch(t.details.Stop)
	if err != nil {
		return false
	}
	now := t.poll()
	if now.Phase == output.PhaseStarting || now.Phase == output.PhaseLicence {
		return false // it does not look at switches yet, and there is nothing to dump
	}
	if err := t.sendStop(sw, order); err != nil {
		t.say(fmt.Sprintf("Cannot write the sense switch %s: %v", t.details.Stop, err))
		return false
	}
	t.say(fmt.Sprintf("%s; the solver has %s for it%s", doing, short(time.Until(until)), tooShort(now, time.Until(until))))
	return t.awaitSwitch(ctx, until, order.Deadline)
}

// awaitSwitch waits until the solver has ended by the switch. A dump that is
// being written is not cut by a signal as long as there is time at all.
func (t *task) awaitSwitch(ctx context.Context, until, deadline time.Time) bool {
	ticker := time.NewTicker(switchLook)
	defer ticker.Stop()
	held := false
	for {
		select {
		case <-t.process().Done():
			return true
		case <-ctx.Done():
			return false
		case now := <-ticker.C:
			dump := t.followSwitch(false)
			if now.Before(until) {
				continue
			}
			if !dump.Growing || now.After(deadline) {
				return false
			}
			if !held {
				held = true
				t.say("The solver still writes its dump; no signal is sent while it does")
			}
		}
	}
}

// stopBySignal sends the signal and waits until the task is gone.
func (t *task) stopBySignal(ctx context.Context, order state.Stop) bool {
	sig, err := stopSignal(order.Signal)
	if err != nil {
		sig = syscall.SIGTERM
	}
	tree, err := t.process().Tree()
	if err != nil {
		return false
	}
	if err := tree.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.logger.Warn("cannot signal the solver", "signal", sig, "error", err)
		return false
	}
	t.say(fmt.Sprintf("Sent %s to the solver", unix.SignalName(sig)))
	return t.waitProc(ctx, order.Deadline)
}

// nomadKillTimeout is what a job has that names no kill_timeout, and
// nomadMaxKillTimeout the most that a client allows unless it is told otherwise.
const (
	nomadKillTimeout    = 5 * time.Second
	nomadMaxKillTimeout = 30 * time.Second
)

// tooShort warns in a stop's first words that its time will not do.
func tooShort(s output.Snapshot, left time.Duration) string {
	if s.SwitchDelay <= left {
		return ""
	}
	return fmt.Sprintf(", but looks for it only about every %s: kill_timeout is too short for this run", short(s.SwitchDelay))
}

// checkSwitchDelay says once that a stop needs more time than Nomad gives by
// default: how much this job gives is told to the driver only with the stop. A
// task that was recovered with its rate known has heard it before.
func (t *task) checkSwitchDelay(s output.Snapshot) {
	if t.details.Stop == "" || t.delaySaid || s.SwitchDelay == 0 {
		return
	}
	first := !t.delayKnown
	t.delayKnown = true
	if s.SwitchDelay <= nomadKillTimeout-signalShare(nomadKillTimeout) {
		return
	}
	t.delaySaid = true
	if t.recovered && first {
		return
	}
	words := fmt.Sprintf("A stop with %s takes this run about %s until it looks for the switch, and then its dump: set kill_timeout well above that (Nomad's default is %s)",
		t.details.Stop, short(s.SwitchDelay), nomadKillTimeout)
	if s.SwitchDelay > nomadMaxKillTimeout/2 {
		words += fmt.Sprintf(", and have the operator raise the client's max_kill_timeout (default %s)", nomadMaxKillTimeout)
	}
	t.say(words)
}

// awaitStop waits for a run that is being stopped: Nomad may take it for ended
// when the plugin died in the middle of its stop. It returns false for a run that
// is not being stopped, or does not end.
func (t *task) awaitStop(ctx context.Context) bool {
	t.mu.Lock()
	until, stopping := t.stopUntil, t.stopping
	t.mu.Unlock()
	if !stopping || until.IsZero() {
		return t.isOver()
	}
	ctx, cancel := context.WithDeadline(ctx, until.Add(leastGrace+killPatience))
	defer cancel()
	return t.gone(ctx) == nil
}

// waitProc waits for the solver's tree to be gone.
func (t *task) waitProc(ctx context.Context, until time.Time) bool {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-t.process().Done():
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// gone waits until the result is final, so that the cores are free when
// StopTask returns.
func (t *task) gone(ctx context.Context) error {
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
