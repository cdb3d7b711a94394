// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
)

// switchLook is how often a stop looks how far its sense switch has come.
const switchLook = 200 * time.Millisecond

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

// SwitchOfSignal maps the signals that are sense switches: dump and go on, and
// write a plot state.
var SwitchOfSignal = map[syscall.Signal]string{syscall.SIGUSR1: "sw3", syscall.SIGUSR2: "sw4"}

// requestPatience bounds what an operator waits for who sends a sense switch.
const requestPatience = 15 * time.Second

// SendSwitch sends a sense switch that was asked for by a signal. What comes of it
// is told in events.
func (h *Handle) SendSwitch(ctx context.Context, name, signal string) error {
	sw, err := lsdyna.ParseSwitch(name)
	if err != nil {
		return err
	}
	r := h.run.Load()
	if r == nil {
		return fmt.Errorf("%s is the sense switch %s, and the run's record does not tell its folder", signal, name)
	}
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	if r.isFollower() {
		return fmt.Errorf("%s is the sense switch %s, which the node sends that leads the run: give the signal to %s", signal, name, h.leadingAlloc(ctx, r))
	}
	v, err := r.watcher.Look(ctx)
	if err != nil {
		return fmt.Errorf("%s is the sense switch %s, which cannot be written: %w", signal, name, err)
	}
	if p := v.Snapshot.Phase; p == output.PhaseStarting || p == output.PhaseLicence {
		return fmt.Errorf("%s is the sense switch %s, and the solver does not look for switches before it computes: try again later", signal, name)
	}
	if h.Phase() >= Stopping {
		return fmt.Errorf("%s is the sense switch %s, but the run is being stopped", signal, name)
	}
	err = r.watcher.Send(ctx, watch.Sending{Switch: sw, Written: func() { h.logger.Info("sent a sense switch", "switch", name, "signal", signal) }})
	switch {
	case errors.Is(err, rundir.ErrSwitchPending):
		return fmt.Errorf("%s is the sense switch %s: %w", signal, name, err)
	case err != nil:
		return fmt.Errorf("%s is the sense switch %s, which cannot be written: %w", signal, name, err)
	}
	return nil
}

// toldSwitch is what was told of the last sense switch already.
type toldSwitch struct {
	asked         time.Time
	taken, effect bool
}

// ending is what is known of the end of a run that is over.
type ending struct {
	succeeded bool
	clean     bool // the solver ended of its own accord: what it had begun to write is written
}

// tellSwitch tells each step of the last sense switch once. One that an operator sent by
// a signal is told when its effect is there, and not before: Nomad has an event of its own
// for the signal, and keeps ten.
func (h *Handle) tellSwitch(v *watch.SwitchView, end ending) {
	if v == nil {
		return
	}
	told := &h.alerts.sent
	if !told.asked.Equal(v.Asked) {
		*told = toldSwitch{asked: v.Asked}
	}
	if told.effect {
		return
	}
	if !told.taken && v.Switch.Terminates && v.Taken.After(v.Asked) {
		told.taken = true
		h.say("Solver took %s %s", v.Name(), after(v.Taken.Sub(v.Asked)))
	}
	if effect := effectOf(v, end); effect != "" {
		told.effect = true
		if v.Switch.Terminates {
			h.life.mu.Lock()
			h.life.effect = effect
			h.life.mu.Unlock()
		}
		h.Events.Emit(effect)
	}
}

// effectOf says what a switch brought about, once it is there for good; "" before.
func effectOf(v *watch.SwitchView, end ending) string {
	doing, took := "Stopping with "+v.Name(), short(time.Since(v.Since()))
	if !v.Switch.Terminates {
		doing = "Switch " + v.Name()
	}
	dump := v.Dump
	switch {
	case v.Switch.Dumps && (dump.Complete || v.Ended && dump.Exists && (dump.Dump.Followed || end.clean)):
		return fmt.Sprintf("%s, dump %s written at t = %.4E, %s, in %s", doing, dump.Dump.Name, dump.Dump.Time, megabytes(dump.Files.Bytes), took)
	case v.Switch.Dumps && v.Ended && dump.Exists:
		return fmt.Sprintf("%s: the run ended while %s was being written; the next start takes the dump before it", doing, dump.Dump.Name)
	case v.Switch.Dumps && v.Ended && dump.Said:
		return fmt.Sprintf("%s: the solver says that it wrote %s, but the file is not there", doing, dump.Dump.Name)
	case v.Ended && v.Taken.IsZero():
		return fmt.Sprintf("%s: the run ended before the solver took it", doing)
	case v.Ended && v.Switch.Dumps && !end.succeeded:
		return fmt.Sprintf("%s: ended after %s without a dump", doing, took)
	case v.Plot:
		return fmt.Sprintf("%s: plot state written at t = %.4E, in %s", doing, v.PlotTime, took)
	}
	return ""
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
		h.say("The solver did not take it (%s) within %s", sent.Name(), short(time.Since(sent.Asked)))
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
	return fmt.Sprintf(", but looks for it only about every %s: kill_timeout is too short for this run", short(s.SwitchDelay))
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
	words := fmt.Sprintf("A stop with %s takes this run about %s until it looks for the switch, and then its dump: set kill_timeout well above that (Nomad's default is %s)",
		r.Stop, short(s.SwitchDelay), nomadKillTimeout)
	if s.SwitchDelay > nomadMaxKillTimeout/2 {
		words += fmt.Sprintf(", and have the operator raise the client's max_kill_timeout (default %s)", nomadMaxKillTimeout)
	}
	h.Events.Emit(words)
}

// lastDump reads what a stop's record remembers of the dump before it.
func lastDump(data json.RawMessage) *output.Dump {
	var d output.Dump
	if len(data) == 0 || json.Unmarshal(data, &d) != nil {
		return nil
	}
	return &d
}

// after prints how long something took, which cannot be seen more exactly than it
// was looked at.
func after(d time.Duration) string {
	if d < switchLook {
		return "within " + switchLook.String()
	}
	return "after " + short(d)
}

func encodeDump(d *output.Dump) json.RawMessage {
	if d == nil {
		return nil
	}
	data, _ := json.Marshal(d) // plain fields
	return data
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
