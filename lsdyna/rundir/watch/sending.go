// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// effectPatience is how long after a switch was taken its effect is waited for.
const effectPatience = 10 * time.Minute

// Sending is a sense switch to be sent.
type Sending struct {
	Switch lsdyna.Switch
	Asked  time.Time // from when its effect counts; now where it is zero

	// Again: somebody may have sent it before, in this process or in one that is
	// gone. It is not written once more when this watcher sent the same, or when the
	// outputs show that the solver took it. LastDump is the newest dump that the
	// solver had told of when it was first asked for; with First it is looked up when
	// the switch is written, as for one that is not sent again.
	Again    bool
	First    bool // nobody sent it before this process
	LastDump *output.Dump

	// Written is called in the watcher's goroutine when the switch lies in the
	// folder; nil for nothing. It must not block.
	Written func()
}

// SwitchView is what is known of a sense switch that was sent.
type SwitchView struct {
	Switch   lsdyna.Switch
	Asked    time.Time
	Before   *output.Dump // the newest dump then
	Taken    time.Time    // when the solver took it; zero: not yet
	Dump     rundir.DumpState
	Plot     bool    // a plot state was written since, at
	PlotTime float64 // this problem time
	Ended    bool    // the run is over: nothing more comes
}

// Name is the switch as users write it.
func (s *SwitchView) Name() string { return strings.TrimSuffix(s.Switch.Name, ".") }

// Since is from when the time of its effect counts.
func (s *SwitchView) Since() time.Time {
	if s.Taken.IsZero() {
		return s.Asked
	}
	return s.Taken
}

// sentSwitch is a sense switch from its writing until its effect is there.
type sentSwitch struct {
	view  SwitchView
	watch rundir.DumpWatch
	plots int64 // plot states that were there before
}

// done reports whether there is nothing more to wait for.
func (s *sentSwitch) done() bool {
	v := &s.view
	return v.Ended || v.Dump.Complete || v.Plot || !v.Taken.IsZero() && time.Since(v.Taken) > effectPatience
}

// closely reports whether it is looked at often: all along where the run is to
// end by it, for a while otherwise.
func (s *sentSwitch) closely() bool {
	return !s.done() && (s.view.Switch.Terminates || time.Since(s.view.Asked) < switchHaste)
}

// Send writes a sense switch into the folder and follows it from then on.
func (w *Watcher) Send(ctx context.Context, s Sending) error {
	return w.Do(ctx, func(f *rundir.Folder) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if w.sent != nil && w.sent.view.Switch.Terminates && !s.Switch.Terminates {
			// It would take the place of the one that ends the run, whose dump
			// nobody would follow any more.
			return fmt.Errorf("send sense switch %s: the run is being stopped", s.Switch.Name)
		}
		if err := w.checkMine(); err != nil {
			return fmt.Errorf("send sense switch %s: %w", s.Switch.Name, err)
		}
		if s.Asked.IsZero() {
			s.Asked = time.Now()
		}
		if s.Again && w.sent != nil && w.sent.view.Switch == s.Switch && w.sent.view.Asked.Equal(s.Asked) {
			return nil
		}
		now := w.View().Snapshot
		if w.follow != nil { // a dump of a moment ago is none that the switch brought about
			now, _ = w.follow.Poll()
		}
		if s.First || !s.Again {
			s.LastDump = now.LastDump()
		}
		if !s.Again || !now.KillFile && now.SenseSwitch == "" {
			if err := writeInTime(ctx, f, s.Switch); err != nil {
				return err
			}
		}
		w.remember(s, now.PlotStates)
		if s.Written != nil {
			s.Written()
		}
		return nil
	})
}

// writeInTime writes a sense switch unless its time is up: what was done before may
// have waited for the file system, and whoever asked has gone on without the switch.
func writeInTime(ctx context.Context, f *rundir.Folder, sw lsdyna.Switch) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return f.WriteSwitch(sw)
}

// Recall follows a sense switch that an earlier process sent, to be called before
// Finish. Nobody saw when the solver took it.
func (w *Watcher) Recall(ctx context.Context, s Sending) error {
	return w.post(ctx, func() error {
		if w.sent == nil {
			w.remember(s, 0)
			w.sent.view.Taken = s.Asked
		}
		return nil
	})
}

func (w *Watcher) remember(s Sending, plots int64) {
	w.sent = &sentSwitch{
		view:  SwitchView{Switch: s.Switch, Asked: s.Asked, Before: s.LastDump},
		watch: rundir.DumpWatch{Since: s.Asked, Last: s.LastDump}, plots: plots,
	}
	view := w.sent.view
	w.publish(func(v *View) { v.Switch = &view })
}

// followSwitch looks what came of the last sense switch. ended means that the
// solver is gone: what it wrote is final.
func (w *Watcher) followSwitch(f *rundir.Folder, s output.Snapshot, ended bool) error {
	sent := w.sent
	if sent == nil || sent.view.Ended || sent.done() && !ended {
		return nil // at the end even an old one is looked after: it may still lie there
	}
	pending, err := f.SwitchPending()
	if err != nil {
		return err
	}
	if ended && pending {
		if err = f.ClearSwitch(); rundir.Unreadable(err) {
			return err // it is tried again
		}
	}
	if sent.view.Taken.IsZero() && !pending {
		sent.view.Taken = time.Now()
	}
	sent.view.Dump = sent.watch.Look(f, s)
	if d := sent.view.Dump; d.Complete {
		err = errors.Join(err, w.checkMine())
		if err == nil {
			err = f.NoteWhole(d.Dump, d.Files) // before anybody hears that it is written
		}
	}
	sent.view.PlotTime = s.Time
	sent.view.Plot = !sent.view.Switch.Dumps && !sent.view.Switch.Terminates && s.PlotStates > sent.plots
	sent.view.Ended = ended
	view := sent.view
	w.publish(func(v *View) { v.Switch = &view })
	return err
}
