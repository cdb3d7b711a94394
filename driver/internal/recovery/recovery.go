// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package recovery counts in a run's record how often a plugin process has taken the run
// up again, and decides of which times an event tells. Nomad keeps ten events of a task: a
// client that is restarted ten times would leave nothing of how the run began.
package recovery

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/checkpoint"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// A Stream takes the events of a run.
type Stream interface {
	Emit(words string) string
	AwaitPassed(ctx context.Context) bool
}

// Tell notes that a run was taken up again, and tells what note decides. heard, where it is
// not nil, is for a goroutine of its own: it waits until the event has come to Nomad, since
// one that was on its way when the plugin died is told by the next recovery.
func Tell(r *state.Record, stream Stream, words string, asBefore bool, logger hclog.Logger) (heard func(ctx context.Context)) {
	n, event, err := note(r, words, asBefore, time.Now())
	if err != nil {
		logger.Debug("cannot count the run's recoveries", "error", err)
	}
	if event == "" {
		logger.Info("taken up as before", "what", words)
		return nil
	}
	stream.Emit(event)
	if r == nil || err != nil {
		return nil
	}
	return func(ctx context.Context) {
		if !stream.AwaitPassed(ctx) || r.ReadRecoveries().Count != n.Count {
			return
		}
		n.Due = false
		if err := r.WriteRecoveries(n); err != nil {
			logger.Debug("cannot note that an event was heard", "error", err)
		}
	}
}

// note counts a recovery and returns the event; "" where the run is as before and the same
// was said, and heard, the last time: then only the 10th in a row is told, the 100th, and so
// on. What cannot be counted is told. r is nil where there is no record yet.
func note(r *state.Record, words string, asBefore bool, now time.Time) (n state.Recoveries, event string, err error) {
	if r == nil {
		return n, words, nil
	}
	n = r.ReadRecoveries()
	if n.Words != words || !asBefore {
		n.Words, n.Same, n.Due = words, 0, false
	}
	if n.Count == 0 {
		n.First = now
	}
	n.Count, n.Same, n.Last = n.Count+1, n.Same+1, now
	n.Due = n.Due || checkpoint.Told(n.Same)
	switch err := r.WriteRecoveries(n); {
	case err != nil:
		return n, words, err
	case !n.Due:
		return n, "", nil
	case n.Same > 1:
		next := 10
		for next <= n.Same {
			next *= 10
		}
		return n, fmt.Sprintf("%s, %d times in a row; the next such event is the %dth's", words, n.Same, next), nil
	}
	return n, words, nil
}
