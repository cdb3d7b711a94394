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
)

// life is the phase of a run with what belongs to it. Its mutex guards all of it
// and is taken last: nothing is called while it is held.
type life struct {
	gone  chan struct{} // closed at Gone
	ended chan struct{} // closed at Ended

	mu       sync.Mutex
	phase    Phase
	attached bool      // Nomad has asked for the run, whatever phase it is in
	deadline time.Time // of a stop: when everything is killed
	cause    verdict.Cause
	effect   string // of a stop's sense switch, as told
	result   *drivers.ExitResult
	outcome  output.Outcome
	finished time.Time
}

func newLife(p Phase) *life {
	return &life{phase: p, attached: p == Attached, gone: make(chan struct{}), ended: make(chan struct{})}
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
		l.attached = true
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
