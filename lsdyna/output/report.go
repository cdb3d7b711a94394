// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/health"
)

// Report is what happened in a run folder or an output file. Its JSON is the
// inspect command's: flat, with null for what is not known.
type Report struct {
	Path           string            `json:"path"`
	Outcome        Kind              `json:"outcome"`
	Reason         string            `json:"reason"`
	Time           *float64          `json:"time"`               // problem time
	EndTime        *float64          `json:"end_time"`           // problem time
	Relaxing       bool              `json:"dynamic_relaxation"` // time is that of a dynamic relaxation, before the transient
	Cycle          *int64            `json:"cycle"`
	Case           *string           `json:"case"` // of a process that makes several runs: which one it is, or was the last
	Version        *string           `json:"version"`
	Parallel       *lsdyna.Parallel  `json:"parallel"`
	Precision      *lsdyna.Precision `json:"precision"`
	Processors     *int              `json:"processors"`
	Warnings       *int64            `json:"warnings"`
	Errors         *int64            `json:"errors"`
	FirstError     *SolverError      `json:"first_error"`
	RestartFile    *string           `json:"restart_file"` // only if it is there
	ElapsedSeconds *float64          `json:"elapsed_seconds"`
	ETASeconds     *float64          `json:"eta_seconds"`
	ETALowSeconds  *float64          `json:"eta_low_seconds"`  // four of five runs end between these two
	ETAHighSeconds *float64          `json:"eta_high_seconds"` //
	NoETA          *string           `json:"eta_missing"`      // why a run that solves has none
	LivesBy        *string           `json:"lives_by"`         // what proves that it runs; null: it does not, or the caller said so
	NodesText      *string           `json:"nodes_text"`       // of a run over several: whom it waits for, then which it has
	NodesStop      *string           `json:"nodes_stop"`       // which node of such a run asked for its stop
	Health         *health.Health    `json:"health"`
	LastRuns       []PastRun         `json:"last_runs"` // under the driver, the oldest first; of a folder only

	Snapshot Snapshot `json:"-"` // of which it was made
}

// NewReport makes a report of a snapshot and its verdict. It has no path.
func NewReport(s Snapshot, e Exit) Report {
	o := Decide(s, e)
	r := Report{
		Snapshot: s,
		Outcome:  o.Kind, Reason: o.Reason, FirstError: o.FirstError,
		EndTime: known(s.EndTime), Relaxing: s.Relaxing, Case: known(s.Case()), Version: known(s.Version), Parallel: known(s.Parallel), Precision: known(s.Precision),
		Processors: known(s.Processors), RestartFile: known(o.RestartFile), NodesText: known(s.Nodes), NodesStop: known(s.NodesStop),
	}
	if s.HasTime {
		r.Time, r.Cycle = &s.Time, &s.Cycle
	}
	if len(s.Sources) > 0 {
		r.Warnings, r.Errors = &s.Warnings, &s.Errors
		if elapsed := s.Elapsed.Seconds(); s.Elapsed > 0 || s.EndBlock {
			r.ElapsedSeconds = &elapsed
		}
	}
	if o.Kind == Running {
		r.NoETA = known(s.NoETA)
		r.ETASeconds, r.ETALowSeconds, r.ETAHighSeconds = s.ETA()
	}
	return r
}

// ETA returns the likely wall time to the end, and between what it is, in seconds; nil
// where they are not known.
func (e Estimate) ETA() (likely, low, high *float64) {
	if !e.HasETA {
		return nil, nil, nil
	}
	f := [3]float64{e.Remaining.Likely.Seconds(), e.Remaining.Low.Seconds(), e.Remaining.High.Seconds()}
	return &f[0], &f[1], &f[2]
}

// known is nil for a zero value.
func known[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
