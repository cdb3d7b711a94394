// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package checkpoint decides when a run writes its next checkpoint, a dump at an
// interval, and of which of them an event tells. It touches nothing.
package checkpoint

import (
	"fmt"
	"time"
)

// Schedule says when a checkpoint is due. The zero value with Every set is ready for use.
// It is not safe for concurrent use.
type Schedule struct {
	Every time.Duration // 0: never

	solving time.Time // since when the run solves
	tried   time.Time // when a checkpoint was asked for last
}

// Run is a run as it is now. Its times are by one clock.
type Run struct {
	Now     time.Time
	Began   time.Time // when its solver was started
	Adopted bool      // it was found: when it began to solve was not seen
	Solves  bool      // its cycles run, and nobody ends it
	Busy    bool      // a sense switch is on its way, or its effect is waited for
	Dump    time.Time // when its newest dump was written, whoever asked for it; zero: there is none
}

// Due reports whether a checkpoint is to be asked for now. The interval counts from the
// newest dump, so that it holds over restarts of the plugin: what is lost with the machine
// is what was computed since. Where there is none since the solver was started, it counts
// from when the run began to solve.
func (s *Schedule) Due(r Run) bool {
	if s.Every <= 0 || !r.Solves {
		return false
	}
	if s.solving.IsZero() {
		if s.solving = r.Now; r.Adopted && r.Began.Before(r.Now) { // else a clock was set back
			s.solving = r.Began
		}
	}
	if r.Busy {
		return false
	}
	last := s.solving
	for _, t := range []time.Time{r.Dump, s.tried} {
		if t.After(last) {
			last = t
		}
	}
	return r.Now.Sub(last) >= s.Every
}

// Asked notes that a checkpoint was asked for: where no dump comes of it, the next is asked
// for after another interval.
func (s *Schedule) Asked(now time.Time) { s.tried = now }

// soon is how long after a checkpoint that could not be asked for it is tried again.
const soon = time.Minute

// Failed notes that a checkpoint could not be asked for.
func (s *Schedule) Failed(now time.Time) { s.tried = now.Add(min(s.Every, soon) - s.Every) }

// Told says of which checkpoints events tell: Nomad keeps ten events of a task, and a run
// may write hundreds of checkpoints. n counts them from 1.
func Told(n int) bool {
	for n >= 10 && n%10 == 0 {
		n /= 10
	}
	return n == 1
}

// Describe is the event of a checkpoint. written says which dump it is.
func Describe(n int, written string, every time.Duration, keep int) string {
	if n > 1 {
		next := 10
		for next <= n {
			next *= 10
		}
		return fmt.Sprintf("Checkpoint %d: %s; of the next ones only the %dth is told", n, written, next)
	}
	return fmt.Sprintf("Checkpoint: %s; one every %s, the newest %s kept; of the next ones only the 10th is told", written, interval(every), newest(keep))
}

func newest(keep int) string {
	if keep == 1 {
		return "is"
	}
	return fmt.Sprintf("%d are", keep)
}

// interval prints a duration without zeros at its end: "1h", not "1h0m0s".
func interval(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if n := len(s) - len(zero); n > 0 && s[n:] == zero {
			s = s[:n+1]
		}
	}
	return s
}
