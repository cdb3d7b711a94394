// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/killfile"
)

// Sending is a sense switch to be sent.
type Sending struct {
	Switch lsdyna.Switch
	Asked  time.Time // from when its effect counts; now where it is zero

	// Checkpoint is how many checkpoints are kept, where the switch's dump is one: those
	// before them are removed when it is complete. 0: it is none.
	Checkpoint int

	// Again: somebody may have sent it before, in this process or in one that is
	// gone. It is not written once more when this watcher sent the same, or when the
	// outputs show that the solver took it. LastDump is the newest dump that the
	// solver had told of when it was first asked for, and Marks what else its outputs
	// held; with First they are looked up when
	// the switch is written, as for one that is not sent again.
	Again    bool
	First    bool // nobody sent it before this process
	Sent     bool // somebody did for sure: it is followed, and not written
	LastDump *output.Dump
	Marks    Marks

	// Unless is called in the watcher's goroutine before the switch is written, and its
	// error calls that off; nil for nothing. It must not block.
	Unless func() error

	// Written is called in the watcher's goroutine when the switch lies in the
	// folder; nil for nothing. It must not block.
	Written func()
}

// Send writes a sense switch into the folder and follows it from then on. While the
// effect of an earlier one is waited for the error is killfile.ErrPending, unless the
// new one terminates the run.
func (w *Watcher) Send(ctx context.Context, s Sending) error {
	return w.Do(ctx, func(f *rundir.Folder) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if w.stopping() && !s.Switch.Terminates {
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
		if w.isBusy(s) {
			return killfile.ErrPending
		}
		now := w.View().Snapshot
		if w.follow != nil { // a dump of a moment ago is none that the switch brought about
			now, _ = w.follow.Poll()
		}
		if s.First || !s.Again {
			s.LastDump, s.Marks = now.LastDump(), MarksOf(now)
		}
		untaken := false
		if w.sent != nil && !w.sent.done() && !s.Sent {
			untaken, _, _ = w.sent.lies(f)
		}
		dump := s.dump()
		if s.Switch.Dumps && !s.Switch.Terminates && (s.First || !s.Again) {
			dump.Begin(f)
		}
		if err := w.write(ctx, f, s, now); err != nil {
			return err
		}
		w.supersede(untaken)
		w.remember(s, dump)
		if s.Written != nil {
			s.Written()
		}
		return nil
	})
}

// stopping reports whether a switch was sent that ends the run.
func (w *Watcher) stopping() bool { return w.sent != nil && w.sent.view.Switch.Terminates }

// isBusy reports whether a switch has to wait for the one that was sent before it. One
// that was found in the folder and turns out to be this one it need not wait for.
func (w *Watcher) isBusy(s Sending) bool {
	if s.Switch.Terminates || w.sent == nil || w.sent.done() {
		return false
	}
	return !s.Again || !w.sent.found || w.sent.view.Switch != s.Switch
}

// write writes a sense switch, unless somebody before this process has done so, or its
// time is up: what was done before may have waited for the file system, and whoever asked has gone
// on without the switch.
func (w *Watcher) write(ctx context.Context, f *rundir.Folder, s Sending, now output.Snapshot) error {
	switch {
	case s.Sent:
		return nil
	case s.Again && s.Switch.Terminates && (now.KillFile || now.SenseSwitch != ""):
		return nil
	case s.Again && !s.Switch.Terminates && !s.First:
		lies, there, err := killfile.Read(f)
		if err != nil {
			return err
		}
		if there && lies.Name == s.Switch.Name || hasBegun(s.Switch, s.LastDump, s.Marks, now) {
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.Unless != nil {
		if err := s.Unless(); err != nil {
			return err
		}
	}
	return killfile.Write(f, s.Switch)
}

// supersede makes room for a switch that is sent while an earlier one is followed. Of
// one that the solver has taken it is still told what it did.
func (w *Watcher) supersede(untaken bool) {
	if w.sent == nil || w.sent.found || w.sent.done() {
		return
	}
	w.former, w.sent = w.sent, nil
	w.former.view.Replaced = untaken
	w.publishSwitches()
}

// Recall follows a sense switch that an earlier process sent, to be called before
// Finish. Nobody saw when the solver took it.
func (w *Watcher) Recall(ctx context.Context, s Sending) error {
	return w.post(ctx, func() error {
		if w.sent != nil && !w.sent.found && (w.stopping() || !s.Switch.Terminates) {
			return nil
		}
		w.supersede(false)
		w.remember(s, s.dump())
		w.sent.view.Taken = s.Asked
		return nil
	})
}

// dump is how its dump is followed.
func (s *Sending) dump() rundir.DumpWatch {
	return rundir.DumpWatch{Since: s.Asked, Last: s.LastDump, First: !s.Switch.Terminates}
}

func (w *Watcher) remember(s Sending, dump rundir.DumpWatch) {
	w.sent = &sentSwitch{
		view:       SwitchView{Switch: s.Switch, Asked: s.Asked, Before: s.LastDump, Marks: s.Marks},
		watch:      dump,
		checkpoint: s.Checkpoint,
	}
	w.publishSwitches()
}

func (w *Watcher) publishSwitches() {
	sent, former := w.sent.copyView(), w.former.copyView()
	w.publish(func(v *View) { v.Switch, v.Former = sent, former })
}

// findSwitch begins to follow a switch that lies in the folder and that nobody here has
// sent: a plugin before this one has, or somebody by hand. A solver that leaves d3kil would
// obey it again and again.
func (w *Watcher) findSwitch(f *rundir.Folder, s output.Snapshot) error {
	if w.sent != nil && !w.sent.done() || w.stopping() {
		return nil
	}
	sw, there, err := killfile.Read(f)
	if err != nil || !there || sw.Name == "" || sw.Terminates || sw.Unknown {
		return err
	}
	found := Sending{Switch: sw, Asked: time.Now(), LastDump: s.LastDump(), Marks: MarksOf(s)}
	w.remember(found, found.dump())
	w.sent.found = true
	return nil
}

// followSwitch looks what came of the last sense switch, and of the one whose place it
// took. dumpsDue says that it is time to see how far dumps are, and ended that the solver is
// gone: what it wrote is final.
func (w *Watcher) followSwitch(f *rundir.Folder, s output.Snapshot, dumpsDue, ended bool) error {
	err := w.noteOwed(f, s)
	if ended {
		err = nil // nobody waits for what was owed
	} else {
		err = errors.Join(err, w.findSwitch(f, s))
	}
	if w.former != nil {
		err = errors.Join(err, w.followOne(f, s, w.former, dumpsDue, ended))
		w.sent.comesAfter(w.former)
	}
	return errors.Join(err, w.followOne(f, s, w.sent, dumpsDue, ended))
}

// followOne looks what came of a sense switch.
func (w *Watcher) followOne(f *rundir.Folder, s output.Snapshot, sent *sentSwitch, dumpsDue, ended bool) error {
	if sent == nil || sent.view.Ended || sent.view.Replaced || sent.done() && !ended {
		return nil // at the end even an old one is looked after: it may still lie there
	}
	lies, some, err := sent.lies(f)
	if err != nil {
		return err
	}
	if ended && some {
		if err = killfile.Clear(f); rundir.Unreadable(err) {
			return err // it is tried again
		}
	}
	if err = errors.Join(err, w.takeAway(f, s, sent, lies)); rundir.Unreadable(err) {
		return err
	}
	if dumpsDue {
		sent.view.Dump = sent.watch.Look(f, s)
	}
	if sent.view.Dump.Complete {
		failed := w.noteDump(f, s, sent)
		err = errors.Join(err, failed)
		if failed != nil {
			w.owe(sent)
		}
	}
	sent.look(s, ended)
	w.publishSwitches()
	return err
}

// takeAway removes a switch as soon as its effect is seen, or when there is no more hope
// of any: some solvers leave it, and would obey it again and again. One that ends the run
// stays until that is over.
func (w *Watcher) takeAway(f *rundir.Folder, s output.Snapshot, sent *sentSwitch, lies bool) error {
	v := &sent.view
	if !lies {
		if v.Taken.IsZero() && !v.Replaced {
			v.Taken = time.Now()
		}
		return nil
	}
	sent.started = sent.started || sent.watch.Begun(f)
	begun := sent.started || hasBegun(v.Switch, v.Before, v.Marks, s)
	if v.Switch.Terminates || v.Replaced || !begun && !sent.isPassed(s) {
		return nil
	}
	if err := w.checkMine(); err != nil {
		return err
	}
	if err := killfile.Remove(f, v.Switch); err != nil {
		return err
	}
	v.Kept = true
	if v.Taken.IsZero() {
		v.Taken = time.Now()
	}
	return nil
}
