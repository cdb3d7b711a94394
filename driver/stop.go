// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
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
// SIGKILL to every process. It returns when the task is gone.
func (t *task) stop(ctx context.Context, timeout time.Duration, sig syscall.Signal) error {
	deadline := time.Now().Add(timeout)
	t.mu.Lock()
	t.stopping = true
	t.mu.Unlock()
	t.stopMu.Lock()
	defer t.stopMu.Unlock()
	if t.isOver() {
		return nil
	}
	began := time.Now()
	if t.stopBySwitch(ctx, deadline.Add(-signalShare(timeout))) {
		return t.gone(ctx)
	}
	if time.Now().Before(deadline) && t.stopBySignal(ctx, sig, deadline) {
		return t.gone(ctx)
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
// it, or until the time is up.
func (t *task) stopBySwitch(ctx context.Context, until time.Time) bool {
	if t.details.Stop == "" || t.folder == nil || !time.Now().Before(until) {
		return false
	}
	sw, err := lsdyna.ParseSwitch(t.details.Stop)
	if err != nil {
		return false
	}
	before := t.poll()
	if before.Phase == lsdyna.PhaseStarting || before.Phase == lsdyna.PhaseLicence {
		return false // it does not look at switches yet, and there is nothing to dump
	}
	began := time.Now()
	if err := t.writeSwitch(sw); err != nil && !errors.Is(err, lsdyna.ErrSwitchPending) {
		t.say(fmt.Sprintf("Cannot write the sense switch %s: %v", t.details.Stop, err))
		return false
	}
	t.say(fmt.Sprintf("Stopping with %s; the solver has %s for it", t.details.Stop, time.Until(until).Round(100*time.Millisecond)))
	if !t.waitProc(ctx, until) {
		took := "did not take it"
		pending := true
		_ = t.inFolder(func(f *lsdyna.RunFolder) (err error) {
			pending, err = f.SwitchPending()
			return err
		})
		if !pending {
			took = "took it but still runs"
		}
		t.say(fmt.Sprintf("The solver %s (%s) within %s", took, t.details.Stop, time.Since(began).Round(time.Millisecond)))
		return false
	}
	select {
	case <-t.done:
	case <-ctx.Done():
		return true
	}
	t.sayStopped(before, time.Since(began))
	return true
}

// sayStopped tells which dump the stop left behind.
func (t *task) sayStopped(before lsdyna.Snapshot, took time.Duration) {
	t.mu.Lock()
	dumps, completed := t.snapshot.Dumps, t.outcome.Success()
	t.mu.Unlock()
	if completed {
		return // it came to its end by itself, and its last words say so
	}
	took = took.Round(10 * time.Millisecond)
	if n := len(dumps); n > len(before.Dumps) {
		if !t.hasDump(dumps[n-1].Name) {
			t.say(fmt.Sprintf("Stopped with %s in %s; the solver says that it wrote %s, but the file is not there", t.details.Stop, took, dumps[n-1].Name))
			return
		}
		t.say(fmt.Sprintf("Stopping with %s, dump %s written at t = %.4E, in %s", t.details.Stop, dumps[n-1].Name, dumps[n-1].Time, took))
		return
	}
	t.say(fmt.Sprintf("Stopped with %s in %s, without a dump", t.details.Stop, took))
}

// hasDump looks for a dump in the run folder of a run that is over.
func (t *task) hasDump(name string) bool {
	folder, err := openRunFolder(t.details.RunBase, t.details.RunFolder, t.user())
	if err != nil {
		return false
	}
	defer func() { _ = folder.Close() }()
	return folder.HasDump(name)
}

// stopBySignal sends the signal and waits until the task is gone.
func (t *task) stopBySignal(ctx context.Context, sig syscall.Signal, until time.Time) bool {
	tree, err := t.process().Tree()
	if err != nil {
		return false
	}
	if err := tree.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.logger.Warn("cannot signal the solver", "signal", sig, "error", err)
		return false
	}
	t.say(fmt.Sprintf("Sent %s to the solver", unix.SignalName(sig)))
	return t.waitProc(ctx, until)
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

func (t *task) owner() lsdyna.Owner { return lsdyna.Owner{UID: t.details.UID, GID: t.details.GID} }

// switchOfSignal maps the signals that are sense switches: dump and go on, and
// write a plot state.
var switchOfSignal = map[syscall.Signal]string{syscall.SIGUSR1: "sw3", syscall.SIGUSR2: "sw4"}

// SignalTask sends a signal to the solver. SIGUSR1 and SIGUSR2 are sense
// switches; they go to the solver's d3kil.
func (d *Driver) SignalTask(taskID string, signal string) error {
	t, err := d.task(taskID)
	if err != nil {
		return err
	}
	sig, err := lookupSignal(signal)
	if err != nil {
		return err
	}
	if t.isOver() {
		return errors.New("the solver has ended")
	}
	if name, ok := switchOfSignal[sig]; ok {
		return t.sendSwitch(name, signal)
	}
	tree, err := t.process().Tree()
	if err != nil {
		return err
	}
	return tree.Signal(sig)
}

// writeSwitch puts a switch into the run folder, as the task's user.
func (t *task) writeSwitch(sw lsdyna.Switch) error {
	return t.inFolder(func(f *lsdyna.RunFolder) error {
		return asUser(t.user(), func() error { return f.WriteSwitch(sw, t.owner()) })
	})
}

func (t *task) sendSwitch(name, signal string) error {
	sw, err := lsdyna.ParseSwitch(name)
	if err != nil {
		return err
	}
	if err := t.writeSwitch(sw); err != nil {
		return fmt.Errorf("%s is the sense switch %s, which cannot be written: %w", signal, name, err)
	}
	t.say(fmt.Sprintf("Sent sense switch %s (%s)", name, sw.Help))
	return nil
}
