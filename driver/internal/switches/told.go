// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package switches

import (
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// Look is how often a stop looks how far its sense switch has come.
const Look = 200 * time.Millisecond

// Ending is what is known of the end of a run that is over.
type Ending struct {
	Succeeded bool
	Clean     bool // the solver ended of its own accord: what it had begun to write is written
}

// Told is what was told of sense switches already. The zero value is ready for use.
type Told struct {
	last [4]toldSwitch // a stop's beside the one whose place it took, and one before each
	next int
}

// toldSwitch is what was told of one switch.
type toldSwitch struct {
	asked         time.Time
	taken, effect bool
}

func (t *Told) of(v *watch.SwitchView) *toldSwitch {
	for i := range t.last {
		if t.last[i].asked.Equal(v.Asked) {
			return &t.last[i]
		}
	}
	told := &t.last[t.next]
	t.next = (t.next + 1) % len(t.last)
	*told = toldSwitch{asked: v.Asked}
	return told
}

// Taken says once that a solver has taken a switch that ends its run; "" otherwise.
func (t *Told) Taken(v *watch.SwitchView) string {
	told := t.of(v)
	if told.taken || told.effect || !v.Switch.Terminates || !v.Taken.After(v.Asked) {
		return ""
	}
	told.taken = true
	return fmt.Sprintf("Solver took %s %s", v.Name(), after(v.Taken.Sub(v.Asked)))
}

// Effect says once what a switch brought about, when it is there for good; "" otherwise. One
// that an operator sent by a signal is told of then, and not before: Nomad has an event of
// its own for the signal, and keeps ten.
func (t *Told) Effect(v *watch.SwitchView, end Ending) string {
	told := t.of(v)
	if told.effect {
		return ""
	}
	effect := Effect(v, end)
	if effect != "" {
		told.effect = true
	}
	return effect
}

// Finish forgets a switch whose effect was told, and returns what was asked for and how
// many checkpoints the run has; nil where nobody here has asked for it.
func (q *Queue) Finish(v *watch.SwitchView) (s *state.Switch, checkpoints int) {
	s = q.finish(v.Asked, v.Dump.Complete)
	q.mu.Lock()
	defer q.mu.Unlock()
	return s, q.written
}

// Effect says what a switch brought about, once it is there for good; "" before.
func Effect(v *watch.SwitchView, end Ending) string {
	doing := "Stopping with " + v.Name()
	if !v.Switch.Terminates {
		doing = "Switch " + v.Name()
	}
	switch {
	case v.Switch.Dumps && (v.Dump.Complete || v.Ended):
		return dumpEffect(v, end, doing)
	case v.Replaced:
		return doing + ": the run was stopped before the solver took it"
	case v.Ended && v.Taken.IsZero():
		return doing + ": the run ended before the solver took it"
	case v.Plot:
		return fmt.Sprintf("%s: plot state written at t = %.4E, in %s%s", doing, v.PlotTime, Short(time.Since(v.Since())), kept(v))
	case v.GivenUp:
		return doing + ": " + givenUp(v)
	case v.Seen, v.Ended && !v.Switch.Terminates:
		return doing + ": " + seen(v) + kept(v)
	}
	return ""
}

// dumpEffect says what came of a switch that is to bring about a dump, when that is
// complete or the run is over.
func dumpEffect(v *watch.SwitchView, end Ending, doing string) string {
	dump, took := v.Dump, Short(time.Since(v.Since()))
	switch {
	case v.Replaced:
		return doing + ": the run was stopped before the solver took it"
	case dump.Complete || dump.Exists && (dump.Dump.Followed || end.Clean):
		return fmt.Sprintf("%s, %s", doing, Written(v))
	case dump.Exists:
		return fmt.Sprintf("%s: the run ended while %s was being written; the next start takes the dump before it", doing, dump.Dump.Name)
	case dump.Said:
		return fmt.Sprintf("%s: the solver says that it wrote %s, but the file is not there", doing, dump.Dump.Name)
	case v.Taken.IsZero():
		return doing + ": the run ended before the solver took it"
	case !end.Succeeded || !v.Switch.Terminates:
		return fmt.Sprintf("%s: ended after %s without a dump", doing, took)
	}
	return ""
}

// Written says which dump a switch brought about.
func Written(v *watch.SwitchView) string {
	d := v.Dump
	return fmt.Sprintf("dump %s written at t = %.4E, %s, in %s%s", d.Dump.Name, d.Dump.Time, megabytes(d.Files.Bytes), Short(time.Since(v.Since())), kept(v))
}

func kept(v *watch.SwitchView) string {
	if !v.Kept {
		return ""
	}
	return "; the solver left d3kil, which was removed"
}

// givenUp says of a switch with an effect that shows why none is waited for any more.
func givenUp(v *watch.SwitchView) string {
	switch {
	case v.Said != "":
		return "the solver says: " + v.Said
	case v.Dump.Said:
		return fmt.Sprintf("the solver says that it wrote %s, but the file is not there, or not with those of all ranks", v.Dump.Dump.Name)
	case v.Kept:
		return "the solver has not obeyed it, and d3kil was removed"
	case v.Taken.IsZero():
		return "the solver did not take it"
	}
	return fmt.Sprintf("the solver took it %s ago, and nothing of it is to be seen in its outputs", Short(time.Since(v.Taken)))
}

// seen says what is known of a switch whose effect no output shows for sure.
func seen(v *watch.SwitchView) string {
	_, isEnd := v.Switch.EndTime()
	switch {
	case v.Said != "":
		return "the solver says: " + v.Said
	case isEnd:
		return "the solver took it"
	case v.Switch.Name == "swa.":
		return "output buffers flushed"
	case v.Switch.Unknown:
		return "the solver took it; whether it knows it is in its outputs"
	}
	return "the solver took it; what it did is in its outputs"
}

// after prints how long something took, which cannot be seen more exactly than it
// was looked at.
func after(d time.Duration) string {
	if d < Look {
		return "within " + Look.String()
	}
	return "after " + Short(d)
}

// Short prints a time as far as people care, and as exactly as it was looked at.
func Short(d time.Duration) string {
	switch {
	case d < Look:
		return "under " + Look.String()
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
