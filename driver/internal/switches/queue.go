// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package switches sends sense switches to a solver that goes on, one after the other,
// and says what came of each. LS-DYNA takes one at a time, and two in a row have results
// of their own. Those of which it was not told yet are in the run's record: the plugin
// process that comes next goes on with them.
package switches

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/killfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// maxWaiting bounds how many switches wait, with the one that was sent.
const maxWaiting = 8

// Options say what a Queue works with.
type Options struct {
	Watcher *watch.Watcher
	Keep    int          // checkpoints that stay
	Unless  func() error // called before a switch is written; its error calls that off
	Logger  hclog.Logger
}

// Queue is the sense switches of a run that goes on. Its methods may be called by anybody
// at any time. The zero value is of no use.
type Queue struct {
	options Options

	mu      sync.Mutex // guards what follows; held while the record is written
	record  *state.Record
	waiting []entry // in this order; the first is the one that is sent
	sending bool    // somebody sends the first
	written int     // checkpoints
}

// entry is a switch that waits.
type entry struct {
	state.Switch
	inherited bool // from a plugin process before this one, which may have sent it
}

// before is what a record keeps of the outputs as they were before a switch.
type before struct {
	Dump  *output.Dump `json:"dump"`
	Marks watch.Marks  `json:"marks"`
}

// New returns a queue without switches.
func New(o Options) *Queue { return &Queue{options: o} }

// Load brings the run's record, and with it what an earlier plugin process has left. Only
// the first call counts.
func (q *Queue) Load(r *state.Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.record != nil || r == nil {
		return
	}
	q.record = r
	left, err := r.ReadSwitches()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		q.options.Logger.Warn("cannot read which sense switches were sent", "error", err)
	}
	q.written += left.Checkpoints
	var inherited []entry
	for _, s := range left.Waiting[:min(len(left.Waiting), maxWaiting)] {
		if _, err := lsdyna.ParseSwitch(s.Name); err == nil {
			inherited = append(inherited, entry{Switch: s, inherited: true})
		}
	}
	if len(inherited)+len(q.waiting) == 0 {
		return
	}
	// One that was sent without a record stays the first: it is followed by now.
	if len(q.waiting) > 0 && (q.sending || q.waiting[0].Step != state.SwitchQueued) {
		q.waiting = slices.Insert(q.waiting, 1, inherited...)
	} else {
		q.waiting = append(inherited, q.waiting...)
	}
	q.save()
}

// save notes in the record what waits. Without one, or where it cannot be written, a later
// plugin process will not know of it.
func (q *Queue) save() {
	if q.record == nil {
		return
	}
	s := state.Switches{Waiting: []state.Switch{}, Checkpoints: q.written}
	for _, e := range q.waiting {
		s.Waiting = append(s.Waiting, e.Switch)
	}
	if err := q.record.WriteSwitches(s); err != nil {
		q.options.Logger.Warn("cannot record which sense switches wait; a plugin that comes after this one will not know of them", "error", err)
	}
}

// Busy reports whether there is a switch of which it was not told yet what came of it.
func (q *Queue) Busy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) > 0
}

// Ask has a switch wait for Next, also while the folder does not answer. It is in the
// record when it returns.
func (q *Queue) Ask(sw lsdyna.Switch) error {
	_, _, err := q.add(sw, false, false)
	return err
}

// add has a switch wait. Where send says so, and it is the first, the caller sends it.
func (q *Queue) add(sw lsdyna.Switch, checkpoint, send bool) (e entry, first bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if checkpoint && len(q.waiting) > 0 {
		return e, false, killfile.ErrPending
	}
	if len(q.waiting) >= maxWaiting {
		return e, false, fmt.Errorf("%d sense switches wait already, and the solver takes one at a time: %w", maxWaiting, killfile.ErrPending)
	}
	e = entry{Switch: state.Switch{Name: sw.Name, Asked: time.Now(), Checkpoint: checkpoint}}
	q.waiting = append(q.waiting, e)
	first = send && len(q.waiting) == 1
	q.sending = q.sending || first
	q.save()
	return e, first, nil
}

// Send sends a switch, or has it wait for those before it. The error says why that cannot
// be done.
func (q *Queue) Send(ctx context.Context, sw lsdyna.Switch, checkpoint bool) error {
	e, first, err := q.add(sw, checkpoint, true)
	if err != nil || !first {
		return err
	}
	err = q.deliver(ctx, e)
	if err != nil && !errors.Is(err, killfile.ErrPending) {
		q.drop(e.Asked)
		return err
	}
	return nil // where another lies there, this one waits
}

// Next sends the first switch that waits, in a goroutine of run, where that is to be
// done. failed is told of one that cannot be sent.
func (q *Queue) Next(ctx context.Context, run func(func()), failed func(string)) {
	q.mu.Lock()
	if q.sending || len(q.waiting) == 0 || q.waiting[0].Step == state.SwitchSent && !q.waiting[0].inherited {
		q.mu.Unlock()
		return
	}
	e := q.waiting[0]
	q.sending = true
	q.mu.Unlock()
	run(func() {
		ctx, cancel := context.WithTimeout(ctx, nextPatience)
		defer cancel()
		err := q.deliver(ctx, e)
		if err == nil || errors.Is(err, killfile.ErrPending) || rundir.Unreadable(err) || ctx.Err() != nil {
			return // it is tried again
		}
		q.drop(e.Asked)
		if e.Checkpoint {
			q.options.Logger.Warn("cannot write a checkpoint", "error", err)
			return
		}
		failed(fmt.Sprintf("Switch %s cannot be sent: %v", e.word(), err))
	})
}

// nextPatience bounds what the folder is asked for a switch that has waited.
const nextPatience = 15 * time.Second

func (e *entry) word() string {
	sw, _ := lsdyna.ParseSwitch(e.Name) // checked before it came here
	return sw.Word()
}

// deliver sends the first switch. The record says so before it lies in the folder.
func (q *Queue) deliver(ctx context.Context, e entry) error {
	defer func() {
		q.mu.Lock()
		q.sending = false
		q.mu.Unlock()
	}()
	sending, err := q.sendingOf(e)
	if err != nil {
		return err
	}
	if !sending.Again {
		v := q.options.Watcher.View()
		q.note(e.Asked, state.SwitchSending, before{v.Snapshot.LastDump(), watch.MarksOf(v.Snapshot)})
	}
	if err := q.options.Watcher.Send(ctx, sending); err != nil {
		if !sending.Again && errors.Is(err, killfile.ErrPending) {
			q.note(e.Asked, state.SwitchQueued, before{})
		}
		return err
	}
	if v := q.options.Watcher.View().Switch; v != nil && v.Asked.Equal(e.Asked) {
		q.note(e.Asked, state.SwitchSent, before{v.Before, v.Marks})
	}
	return nil
}

// sendingOf is how a switch is sent: one that an earlier plugin process may have sent is
// looked for first.
func (q *Queue) sendingOf(e entry) (watch.Sending, error) {
	sw, err := lsdyna.ParseSwitch(e.Name)
	if err != nil {
		return watch.Sending{}, err
	}
	s := watch.Sending{
		Switch: sw, Asked: e.Asked, Unless: q.options.Unless,
		Written: func() { q.options.Logger.Info("sent a sense switch", "switch", sw.Word(), "checkpoint", e.Checkpoint) },
	}
	if e.Checkpoint {
		s.Checkpoint = max(q.options.Keep, 1)
	}
	if e.inherited && e.Step != state.SwitchQueued {
		var was before
		_ = json.Unmarshal(e.Before, &was) // nothing known is as good
		s.Again, s.Sent, s.LastDump, s.Marks = true, e.Step == state.SwitchSent, was.Dump, was.Marks
	}
	return s, nil
}

// note notes how far a switch has come.
func (q *Queue) note(asked time.Time, step state.SwitchStep, was before) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := q.index(asked)
	if i < 0 {
		return
	}
	e := &q.waiting[i]
	e.Step, e.Before = step, nil
	if step != state.SwitchQueued {
		e.Before, _ = json.Marshal(was) // plain fields
	}
	e.inherited = false
	q.save()
}

// index is where a switch is among those that wait; -1 where it is not.
func (q *Queue) index(asked time.Time) int {
	return slices.IndexFunc(q.waiting, func(e entry) bool { return e.Asked.Equal(asked) })
}

func (q *Queue) drop(asked time.Time) { q.finish(asked, false) }

// finish forgets a switch, and returns what was asked for; nil where it is not known.
func (q *Queue) finish(asked time.Time, wrote bool) *state.Switch {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := q.index(asked)
	if i < 0 {
		return nil
	}
	s := q.waiting[i].Switch
	q.waiting = slices.Delete(q.waiting, i, i+1)
	if s.Checkpoint && wrote {
		q.written++
	}
	q.save()
	return &s
}

// Refuse forgets the switches that nobody sends any more or follows, as the run ends or is to
// end, and says so of those that operators have asked for.
func (q *Queue) Refuse(why string) (told []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var left []entry
	for i, e := range q.waiting {
		switch {
		case i == 0 && !e.inherited && (q.sending || e.Step != state.SwitchQueued):
			left = append(left, e)
		case e.Checkpoint:
		case e.Step != state.SwitchQueued:
			told = append(told, fmt.Sprintf("Switch %s: what came of it is not known: %s", e.word(), why))
		default:
			told = append(told, fmt.Sprintf("Switch %s was not sent: %s", e.word(), why))
		}
	}
	if len(left) < len(q.waiting) {
		q.waiting = left
		q.save()
	}
	return told
}

// Recall has the watcher follow the switch that an earlier plugin process has sent, of a
// run that is over.
func (q *Queue) Recall(ctx context.Context) {
	q.mu.Lock()
	var first *entry
	if len(q.waiting) > 0 && q.waiting[0].inherited && q.waiting[0].Step != state.SwitchQueued {
		e := q.waiting[0]
		first = &e
	}
	q.mu.Unlock()
	if first == nil {
		return
	}
	if s, err := q.sendingOf(*first); err == nil {
		_ = q.options.Watcher.Recall(ctx, s)
	}
}
