// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settle

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/runfolder"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ended"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
)

// writeAttempt bounds what is written to the folder of a run that is over.
const writeAttempt = 30 * time.Second

// End is how a run ended.
type End struct {
	Snapshot output.Snapshot
	Exit     verdict.Exit
	Outcome  output.Outcome    // without secrets
	Why      verdict.Cause     // zero: the driver did not end it
	Switch   *watch.SwitchView // the last sense switch; nil where there is none
}

// Note notes in the run folder how the run ended, for the starts that come after it.
func (r *Run) Note(ctx context.Context, end End) {
	if end.Exit.Clean() {
		r.noteLastDump(ctx, end.Switch)
	}
	r.settleRecord(ctx, end)
	r.noteEnd(ctx, end)
}

// settleRecord brings the run folder's record up to date at the end of a run: a
// completed run is no longer to be continued, nor to be overwritten by a restart of its
// allocation, and a dump from which the solver could not go on is not to be tried again.
func (r *Run) settleRecord(ctx context.Context, end End) {
	d, o := r.Details, end.Outcome
	var rejected atomic.Bool // by what may still be under way when nobody waits for it any more
	stopped := r.stoppedByWatch(end)
	err := r.insist(ctx, o.Success() || d.Restart != "" || stopped != nil, func(f *rundir.Folder) error {
		if err := ownership.Of(f).CheckOwner(r.ID.String()); err != nil {
			return err // the record is another run's by now
		}
		recorded, err := f.ReadRecord()
		if o.Success() {
			return f.WriteRecord(rundir.Record{Completed: r.completion(end, recorded), Includes: recorded.Includes, Included: recorded.Included})
		}
		if err != nil {
			return nil //nolint:nilerr // no record, or none that can be read: nothing to bring up to date
		}
		switch {
		case d.Restart != "" && recorded.Chosen != nil && verdict.DumpIsBad(recorded.Chosen.Time, end.Snapshot, end.Exit.Exit, o, r.Stopped() || end.Why.Reason != ""):
			recorded.RejectChosen()
			rejected.Store(true)
		case stopped == nil || !recorded.IsOf(d.Deck): // or the record is of another run
			return nil
		}
		recorded.Watch = stopped
		return f.WriteRecord(recorded)
	})
	if rejected.Load() {
		r.Say("The solver could not go on from %s; the next start takes an older dump, or the deck", d.Restart)
	}
	if err != nil {
		r.Logger.Warn("cannot bring the run's record up to date", "error", err)
	}
	var owned *ownership.OwnedError
	if err != nil && o.Success() && ctx.Err() == nil && !errors.As(err, &owned) {
		r.Say("That the run has completed cannot be noted in its folder, and a later start there computes it again, over its results: %v", err)
	}
}

// insist does something in the folder of a run that is over. Where much depends on it, a
// folder that fails, or is full, just then is waited for as long as for its outputs.
func (r *Run) insist(ctx context.Context, much bool, do func(*rundir.Folder) error) error {
	for began := time.Now(); ; {
		attempt, cancel := context.WithTimeout(ctx, writeAttempt)
		err := r.Watcher.Do(attempt, do)
		cancel()
		if !much || !rundir.Unreadable(err) || ctx.Err() != nil || time.Since(began) > r.patience(err) {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(readPause):
		}
	}
}

// completion is what the folder's record keeps of a run that completed. was is what it
// kept before.
func (r *Run) completion(end End, was rundir.Record) *ended.Completion {
	if c := was.Completed; c != nil && c.Alloc == r.ID.Alloc && c.Task == r.ID.Task {
		return c // by a plugin that ended before it could tell Nomad
	}
	from, d, exit := "", r.Details, end.Exit
	if was.From != nil {
		from = was.From.Dump
	}
	return &ended.Completion{
		Deck: d.Deck, From: from,
		Namespace: d.Namespace, Job: d.JobID, Alloc: r.ID.Alloc, Task: r.ID.Task, Reason: end.Outcome.Reason, Finished: exit.At().UTC(),
		ExitKnown: exit.Known, Code: exit.Code, Signal: exit.Signal, OOMKilled: exit.OOMKilled,
	}
}

// stoppedByWatch is what the record keeps of a run that was stopped for what its model
// does: from its dump it would come to that again. nil where there is nothing to keep.
func (r *Run) stoppedByWatch(end End) *ended.WatchStop {
	if !end.Why.Model || end.Outcome.Success() {
		return nil
	}
	return &ended.WatchStop{Reason: end.Why.Reason, Bounds: r.Details.Watch, Stopped: time.Now().UTC()}
}

// noteLastDump records the dump that was the last that a solver wrote before it ended
// of its own accord: nothing has cut it, whatever was printed behind it.
func (r *Run) noteLastDump(ctx context.Context, v *watch.SwitchView) {
	if v == nil || !v.Dump.Exists {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeAttempt)
	defer cancel()
	err := r.Watcher.Do(ctx, func(f *rundir.Folder) error {
		if err := ownership.Of(f).CheckOwner(r.ID.String()); err != nil {
			return err
		}
		return f.NoteWhole(v.Dump.Dump, v.Dump.Files)
	})
	if err != nil {
		r.Logger.Warn("cannot record the run's last dump", "error", err)
	}
}

// noteEnd notes in the run folder how the run ended: what starts there next, and why,
// is told long after Nomad has dropped the event.
func (r *Run) noteEnd(ctx context.Context, end End) {
	exit, o := end.Exit, end.Outcome
	past, ended := runfolder.Past(r.ID, r.Details), exit.Finished.UTC()
	if ended.IsZero() {
		ended = time.Now().UTC()
	}
	past.Ended, past.Outcome, past.Reason, past.Dump = &ended, o.Kind, o.Reason, o.RestartFile
	if past.Signal = exit.Signal; exit.Known {
		past.ExitCode = &exit.Code
	}
	ctx, cancel := context.WithTimeout(ctx, writeAttempt)
	defer cancel()
	if err := r.Watcher.Do(ctx, func(f *rundir.Folder) error { return f.NoteRun(past) }); err != nil {
		r.Logger.Warn("cannot note in the run folder how the run ended", "error", err)
	}
}
