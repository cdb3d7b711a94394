// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// switchLook is how often the driver looks whether a sense switch was taken and
// what came of it; pollInterval once switchHaste is over.
const (
	switchLook  = 200 * time.Millisecond
	switchHaste = 10 * time.Second
)

// effectPatience is how long after a switch was taken its effect is waited for.
const effectPatience = 10 * time.Minute

// sentSwitch is a sense switch from its writing until its effect was told.
type sentSwitch struct {
	sw    lsdyna.Switch
	asked time.Time
	taken time.Time // zero: not yet
	plots int64     // plot states that were there before
	watch rundir.DumpWatch
	told  bool // its effect
}

func (s *sentSwitch) name() string { return strings.TrimSuffix(s.sw.Name, ".") }

// since is from when the time of its effect counts.
func (s *sentSwitch) since() time.Time {
	if s.taken.IsZero() {
		return s.asked
	}
	return s.taken
}

// over tells whether there is nothing more to wait for.
func (s *sentSwitch) over() bool {
	return s.told || !s.taken.IsZero() && time.Since(s.taken) > effectPatience
}

// sendSwitch writes a sense switch into the run folder. s is the run as it was
// when the switch was asked for.
func (t *task) sendSwitch(sw lsdyna.Switch, s output.Snapshot) error {
	sent := &sentSwitch{sw: sw, asked: time.Now(), plots: s.PlotStates}
	sent.watch = rundir.DumpWatch{Since: sent.asked, Last: s.LastDump()}
	return t.inFolder(func(f *rundir.Folder) error {
		if err := t.writeSwitch(f, sw); err != nil {
			return err
		}
		t.sent = sent
		return nil
	})
}

// writeSwitch puts a switch into the run folder, as the task's user.
func (t *task) writeSwitch(f *rundir.Folder, sw lsdyna.Switch) error {
	return asUser(t.user(), func() error { return f.WriteSwitch(sw, t.owner()) })
}

// sendStop writes the sense switch of a stop, unless the solver shows that it
// took it already: another plugin may have begun the stop.
func (t *task) sendStop(sw lsdyna.Switch, order state.Stop) error {
	s := t.poll()
	return t.inFolder(func(f *rundir.Folder) error {
		if sent := t.sent; sent != nil && sent.sw == sw && sent.asked.Equal(order.Began) {
			return nil // this plugin did, and Nomad asks once more
		}
		if !s.KillFile && s.SenseSwitch == "" {
			if err := t.writeSwitch(f, sw); err != nil {
				return err
			}
		}
		t.sent = switchOfOrder(sw, order)
		return nil
	})
}

func switchOfOrder(sw lsdyna.Switch, order state.Stop) *sentSwitch {
	return &sentSwitch{sw: sw, asked: order.Began, watch: rundir.DumpWatch{Since: order.Began, Last: lastDump(order.LastDump)}}
}

// recallStop finds out whether a run that ended while no plugin watched was being
// stopped, so that followSwitch can tell what came of it.
func (t *task) recallStop() {
	order, err := t.record.ReadStop()
	if err != nil {
		return
	}
	sw, err := lsdyna.ParseSwitch(t.details.Stop)
	if err != nil {
		return
	}
	_ = t.inFolder(func(*rundir.Folder) error {
		t.sent = switchOfOrder(sw, order)
		t.sent.taken = order.Began // nobody saw when
		return nil
	})
}

// followSwitch looks what came of the last sense switch and tells each step
// once. ended means that the solver is gone: what it wrote is final.
func (t *task) followSwitch(ended bool) (dump rundir.DumpState) {
	s := t.lastSnapshot()
	if !ended {
		s = t.poll()
	}
	_ = t.inFolder(func(f *rundir.Folder) error {
		sent := t.sent
		if sent == nil || sent.told {
			return nil
		}
		pending, err := f.SwitchPending()
		if err != nil {
			return err
		}
		if ended && pending {
			_ = asUser(t.user(), f.ClearSwitch) // it would stop the next run that somebody starts here
		}
		if sent.taken.IsZero() && !pending {
			sent.taken = time.Now()
			t.say(fmt.Sprintf("Solver took %s after %s", sent.name(), short(sent.taken.Sub(sent.asked))))
		}
		dump = sent.watch.Look(f, s)
		t.tellEffect(sent, s, dump, ended)
		return nil
	})
	return dump
}

// tellEffect tells what a switch brought about, once it is there for good.
func (t *task) tellEffect(sent *sentSwitch, s output.Snapshot, dump rundir.DumpState, ended bool) {
	doing, took := "Stopping with "+sent.name(), short(time.Since(sent.since()))
	if !sent.sw.Terminates {
		doing = "Switch " + sent.name()
	}
	switch {
	case sent.sw.Dumps && (dump.Complete || ended && dump.Exists):
		t.say(fmt.Sprintf("%s, dump %s written at t = %.4E, %s, in %s", doing, dump.Dump.Name, dump.Dump.Time, megabytes(dump.Files.Bytes), took))
	case sent.sw.Dumps && ended && dump.Said:
		t.say(fmt.Sprintf("%s: the solver says that it wrote %s, but the file is not there", doing, dump.Dump.Name))
	case ended && sent.taken.IsZero():
		t.say(fmt.Sprintf("%s: the run ended before the solver took it", doing))
	case ended && sent.sw.Dumps && !t.succeeded():
		t.say(fmt.Sprintf("%s: ended after %s without a dump", doing, took))
	case !sent.sw.Dumps && !sent.sw.Terminates && s.PlotStates > sent.plots:
		t.say(fmt.Sprintf("%s: plot state written at t = %.4E, in %s", doing, s.Time, took))
	default:
		sent.told = ended
		return
	}
	sent.told = true
}

// sayHowFar tells how far a stop's switch came that did not end the solver in
// time.
func (t *task) sayHowFar() {
	_ = t.inFolder(func(*rundir.Folder) error {
		switch sent := t.sent; {
		case sent == nil || !sent.sw.Terminates:
		case sent.taken.IsZero():
			t.say(fmt.Sprintf("The solver did not take it (%s) within %s", sent.name(), short(time.Since(sent.asked))))
		case sent.told:
			t.say(fmt.Sprintf("The solver took it (%s) and its dump is complete, but it still runs", sent.name()))
		default:
			t.say(fmt.Sprintf("The solver took it (%s), but has written no complete dump and still runs", sent.name()))
		}
		return nil
	})
}

func (t *task) lastSnapshot() output.Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.snapshot
}

func (t *task) succeeded() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.outcome.Success()
}

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
		return t.signalSwitch(d.ctx, name, signal)
	}
	tree, err := t.process().Tree()
	if err != nil {
		return err
	}
	return tree.Signal(sig)
}

// signalSwitch sends a switch that was asked for by a signal, and watches it in
// the background.
func (t *task) signalSwitch(driver context.Context, name, signal string) error {
	sw, err := lsdyna.ParseSwitch(name)
	if err != nil {
		return err
	}
	s := t.poll()
	if s.Phase == output.PhaseStarting || s.Phase == output.PhaseLicence {
		return fmt.Errorf("%s is the sense switch %s, and the solver does not look for switches before it computes: try again later", signal, name)
	}
	t.mu.Lock()
	stopping := t.stopping
	t.mu.Unlock()
	if stopping {
		return fmt.Errorf("%s is the sense switch %s, but the run is being stopped", signal, name)
	}
	if err := t.sendSwitch(sw, s); err != nil {
		return fmt.Errorf("%s is the sense switch %s, which cannot be written: %w", signal, name, err)
	}
	t.say(fmt.Sprintf("Sent sense switch %s (%s)", name, sw.Help))
	go t.watchSwitch(driver)
	return nil
}

// watchSwitch follows the last switch until its effect is told, another takes
// its place, or the run is over.
func (t *task) watchSwitch(driver context.Context) {
	var mine *sentSwitch
	_ = t.inFolder(func(*rundir.Folder) error { mine = t.sent; return nil })
	begun := time.Now()
	timer := time.NewTimer(switchLook)
	defer timer.Stop()
	for {
		select {
		case <-driver.Done():
			return
		case <-t.process().Done():
			return // finish tells the rest
		case <-timer.C:
		}
		t.followSwitch(false)
		done := true
		_ = t.inFolder(func(*rundir.Folder) error { done = t.sent != mine || mine == nil || mine.over(); return nil })
		if done {
			return
		}
		if time.Since(begun) < switchHaste {
			timer.Reset(switchLook)
		} else {
			timer.Reset(pollInterval)
		}
	}
}

func (t *task) owner() rundir.Owner { return rundir.Owner{UID: t.details.UID, GID: t.details.GID} }

// lastDump reads what a stop's order remembers of the dump before it.
func lastDump(data json.RawMessage) *output.Dump {
	var d output.Dump
	if len(data) == 0 || json.Unmarshal(data, &d) != nil {
		return nil
	}
	return &d
}

// short prints a time as far as people care, and as exactly as it was looked at.
func short(d time.Duration) string {
	switch {
	case d < switchLook:
		return "under " + switchLook.String()
	case d < 10*time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// megabytes prints the size of a file.
func megabytes(n int64) string {
	if n < 10e6 {
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.0f MB", float64(n)/1e6)
}
