// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package ledger notes in the node's history how each run ended, once, whoever saw its
// end.
package ledger

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/history"
)

// End is how a run ended.
type End struct {
	ID       state.ID
	Details  *state.Details // nil: they are not known
	Cores    int            // by its pid file; 0: by its details
	Snapshot output.Snapshot
	Outcome  output.Outcome // without secrets
	Exit     verdict.Exit
	Over     bool // it was over when this plugin process found it: an earlier one may have noted its end
}

// Ledger writes the history. A nil one writes nothing.
type Ledger struct {
	log    *history.Log
	logger hclog.Logger
}

// New returns a ledger that keeps what it is told until it is opened.
func New(logger hclog.Logger) *Ledger { return &Ledger{log: history.NewLog(), logger: logger} }

// Open has the ledger write below a state_dir that this process has.
func (l *Ledger) Open(stateDir string) {
	if err := l.log.Open(stateDir); err != nil {
		l.logger.Warn("the history of runs cannot be written", "error", err)
	}
}

// retryEvery is how often it is tried to write what could not be written.
const retryEvery = time.Minute

// Run tries again, until ctx ends, to write what could not be written, as on a full disk.
func (l *Ledger) Run(ctx context.Context, stateDir string) {
	ticker := time.NewTicker(retryEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := l.log.Open(stateDir); err != nil {
				l.logger.Debug("the history of runs cannot be written yet", "error", err)
			}
		}
	}
}

// Once notes the end of one run: what it is told first.
type Once struct {
	Ledger *Ledger // nil: nothing is noted
	done   sync.Once
}

// Note is Ledger.Note, the first time.
func (o *Once) Note(e End) { o.done.Do(func() { o.Ledger.Note(e) }) }

// Note notes how a run ended. It must come before Nomad is told: Nomad does not ask again
// for a run of which it knows.
func (l *Ledger) Note(e End) {
	if l == nil || e.Details != nil && len(e.Details.Completed) > 0 { // nothing was computed
		return
	}
	if err := l.log.Note(e.entry(time.Now()), e.Over); err != nil {
		l.logger.Warn("how a run ended cannot be written to the history", "run", e.ID.String(), "error", err)
	}
}

// entry is the line of the history.
func (e End) entry(now time.Time) history.Entry {
	d := e.Details
	if d == nil {
		d = &state.Details{}
	}
	s := &e.Snapshot
	line := history.Entry{
		Run: e.ID.String(), Namespace: d.Namespace, JobID: d.JobID, AllocID: e.ID.Alloc, Task: e.ID.Task, NodeName: d.NodeName,
		Nodes: d.Nodes, NodeIndex: d.NodeIndex,
		User: d.User, Solver: d.Solver, Solved: s.Version, Parallel: d.Parallel, Precision: d.Precision, Input: d.Input, RunDir: d.RunPath(),
		Cores: e.cores(d), Outcome: string(e.Outcome.Kind), Reason: e.Outcome.Reason,
		Signal: e.Exit.Signal, OOMKilled: e.Exit.OOMKilled,
		EndTime: finite(s.EndTime, s.EndTime > 0), Errors: s.Errors, Warnings: s.Warnings,
		Restart: d.Restart, Dump: e.Outcome.RestartFile, Started: d.StartedAt.UTC(), Noted: now.UTC(),
	}
	if e.Exit.Known {
		line.ExitCode = &e.Exit.Code
	}
	if s.HasTime {
		line.Time, line.Cycle = finite(s.Time, true), &s.Cycle
	}
	if s.LicenceGranted {
		line.LicenceKind, line.Licences = s.LicenceKind, s.Processors
	}
	if line.Ended = e.ended(now); line.Ended != nil {
		line.CoreSeconds = float64(line.Cores) * seconds(line.Ended.Sub(d.StartedAt), d)
	} else {
		line.CoreSeconds = float64(line.Cores) * s.Elapsed.Seconds()
	}
	return line
}

func (e End) cores(d *state.Details) int {
	if e.Cores > 0 {
		return e.Cores
	}
	return max(d.CoresAsked, 0)
}

// ended is when the run ended; nil where nobody saw it.
func (e End) ended(now time.Time) *time.Time {
	at := e.Exit.Finished
	if at.IsZero() && !e.Over && !e.Exit.Rebooted {
		at = now // a moment ago
	}
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

// seconds is a run's wall time; 0 where its start is not known, or the clock was set back
// by more than it ran.
func seconds(wall time.Duration, d *state.Details) float64 {
	if d.StartedAt.IsZero() {
		return 0
	}
	const millisecond = 1e3
	return math.Round(max(wall.Seconds(), 0)*millisecond) / millisecond
}

// finite is nil for what is not known and for what JSON cannot hold.
func finite(v float64, known bool) *float64 {
	if !known || math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
