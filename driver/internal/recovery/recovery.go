// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package recovery counts in a run's record how often a plugin process has taken the run
// up again, and decides of which times an event tells. Nomad keeps ten events of a task: a
// client that is restarted ten times would leave nothing of how the run began.
package recovery

import (
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/checkpoint"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// Note notes that a run was taken up again, and what is to be said of it, and returns the
// event; "" where the run is as before and the same was said the last time: then only the
// 10th in a row is told, the 100th, and so on. What cannot be counted is told. r is nil
// where there is no record yet.
func Note(r *state.Record, words string, asBefore bool, now time.Time) (event string, err error) {
	if r == nil {
		return words, nil
	}
	n := r.ReadRecoveries()
	if n.Words != words || !asBefore {
		n.Words, n.Same = words, 0
	}
	if n.Count == 0 {
		n.First = now
	}
	n.Count, n.Same, n.Last = n.Count+1, n.Same+1, now
	switch err := r.WriteRecoveries(n); {
	case err != nil:
		return words, err
	case !checkpoint.Told(n.Same):
		return "", nil
	case n.Same > 1:
		return fmt.Sprintf("%s, %d times in a row; the next such event is the %dth's", words, n.Same, 10*n.Same), nil
	}
	return words, nil
}
