// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
)

// life is the phase of a run with what belongs to it. Its mutex guards all of it
// and is taken last: nothing is called while it is held.
type life struct {
	gone  chan struct{} // closed at Gone
	ended chan struct{} // closed at Ended
	asked chan struct{} // closed when Nomad has asked for the run

	mu       sync.Mutex
	phase    Phase
	attached bool           // Nomad has asked for the run, whatever phase it is in
	deadline time.Time      // of a stop: when everything is killed
	identity pidfile.Record // of its processes, as Nomad remembers it since it has asked
	cause    verdict.Cause
	effect   string // of a stop's sense switch, as told
	result   *drivers.ExitResult
	outcome  output.Outcome
	finished time.Time
}

func newLife(p Phase) *life {
	l := &life{phase: p, attached: p == Attached, gone: make(chan struct{}), ended: make(chan struct{}), asked: make(chan struct{})}
	if l.attached {
		close(l.asked)
	}
	return l
}

// advance changes the phase. It reports whether the event was the first of its
// kind, so that what follows from it is done once.
func (l *life) advance(e event) (first bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.advanceLocked(e)
}

func (l *life) advanceLocked(e event) (first bool, err error) {
	to, ok := next[l.phase][e]
	if !ok {
		return false, fmt.Errorf("a run that is %s cannot go on by event %d", l.phase, e)
	}
	first = to != l.phase
	if e == attach {
		first = !l.attached
		if l.attached = true; first {
			close(l.asked)
		}
	}
	if first && to == Gone && l.phase != Gone {
		close(l.gone)
	}
	if first && to == Ended && l.phase != Ended {
		close(l.ended)
	}
	l.phase = to
	return first, nil
}

// conclude makes the result final.
func (l *life) conclude(r *drivers.ExitResult, o output.Outcome, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase != Gone {
		return
	}
	l.result, l.outcome, l.finished = r, o, at
	_, _ = l.advanceLocked(conclude) // legal from Gone
}

// remember notes the run's processes as Nomad remembers them.
func (l *life) remember(identity pidfile.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.attached {
		l.identity = identity
	}
}

// remembered is what Nomad remembers, empty before it has asked.
func (l *life) remembered() pidfile.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.identity
}

func (l *life) is() (p Phase, attached bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.phase, l.attached
}

// stopBy notes until when a stop takes at most.
func (l *life) stopBy(deadline time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = deadline
}

func (l *life) stopDeadline() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deadline
}

// endFor notes why the driver ends the run. It reports false where the run is
// being stopped or ended already.
func (l *life) endFor(c verdict.Cause) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase >= Stopping || l.cause != (verdict.Cause{}) {
		return false
	}
	l.cause = c
	return true
}

// recallCause notes why an earlier process had the run stopped, where nothing else is known.
func (l *life) recallCause(c verdict.Cause) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == (verdict.Cause{}) {
		l.cause = c
	}
}

func (l *life) why() verdict.Cause {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// final returns the result; only after Ended.
func (l *life) final() (*drivers.ExitResult, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.result.Copy(), l.finished
}

// closed reports whether a channel is.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
