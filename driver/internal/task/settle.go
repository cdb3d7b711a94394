// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"errors"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/lastpage"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/runfolder"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ended"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
)

// settlePatience bounds what is written to the folder of a run that is over.
const settlePatience = 30 * time.Second

// settleRecord brings the run folder's record up to date at the end of a run: a
// completed run is no longer to be continued, nor to be overwritten by a restart of its
// allocation, and a dump from which the solver could not go on is not to be tried again.
func (h *Handle) settleRecord(ctx context.Context, r *run, s output.Snapshot, exit verdict.Exit, o output.Outcome) {
	rejected := false
	stopped := h.stoppedByWatch(r, o)
	err := h.insist(ctx, r, o.Success() || r.Restart != "" || stopped != nil, func(f *rundir.Folder) error {
		if err := ownership.Of(f).CheckOwner(h.ID.String()); err != nil {
			return err // the record is another run's by now
		}
		recorded, err := f.ReadRecord()
		if o.Success() {
			return f.WriteRecord(rundir.Record{Completed: h.completion(r, exit, o, recorded), Includes: recorded.Includes, Included: recorded.Included})
		}
		if err != nil {
			return nil //nolint:nilerr // no record, or none that can be read: nothing to bring up to date
		}
		switch {
		case r.Restart != "" && recorded.Chosen != nil && verdict.DumpIsBad(recorded.Chosen.Time, s, exit.Exit, o, h.wasStopped()):
			recorded.RejectChosen()
			rejected = true
		case stopped == nil || r.Deck == "" || recorded.Identity.Deck != r.Deck: // or the record is of another run
			return nil
		}
		recorded.Watch = stopped
		return f.WriteRecord(recorded)
	})
	if rejected {
		h.say("The solver could not go on from %s; the next start takes an older dump, or the deck", r.Restart)
	}
	if err != nil {
		h.logger.Warn("cannot bring the run's record up to date", "error", err)
	}
	var owned *ownership.OwnedError
	if err != nil && o.Success() && ctx.Err() == nil && !errors.As(err, &owned) {
		h.say("That the run has completed cannot be noted in its folder, and a later start there computes it again, over its results: %v", err)
	}
}

// insist does something in the folder of a run that is over. Where much depends on it, a
// folder that fails, or is full, just then is waited for as long as for its outputs.
func (h *Handle) insist(ctx context.Context, r *run, much bool, do func(*rundir.Folder) error) error {
	for began := time.Now(); ; {
		attempt, cancel := context.WithTimeout(ctx, settlePatience)
		err := r.watcher.Do(attempt, do)
		cancel()
		if !much || !rundir.Unreadable(err) || ctx.Err() != nil || time.Since(began) > h.outputsPatience(err) {
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
func (h *Handle) completion(r *run, exit verdict.Exit, o output.Outcome, was rundir.Record) *ended.Completion {
	if c := was.Completed; c != nil && c.Alloc == h.ID.Alloc && c.Task == h.ID.Task {
		return c // by a plugin that ended before it could tell Nomad
	}
	from := ""
	if was.From != nil {
		from = was.From.Dump
	}
	return &ended.Completion{
		Deck: r.Deck, From: from,
		Namespace: r.Namespace, Job: r.JobID, Alloc: h.ID.Alloc, Task: h.ID.Task, Reason: o.Reason, Finished: exit.At().UTC(),
		ExitKnown: exit.Known, Code: exit.Code, Signal: exit.Signal, OOMKilled: exit.OOMKilled,
	}
}

// noteLastDump records the dump that was the last that a solver wrote before it ended
// of its own accord: nothing has cut it, whatever was printed behind it.
func (h *Handle) noteLastDump(ctx context.Context, r *run, v *watch.SwitchView) {
	if v == nil || !v.Dump.Exists {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	err := r.watcher.Do(ctx, func(f *rundir.Folder) error {
		if err := ownership.Of(f).CheckOwner(h.ID.String()); err != nil {
			return err
		}
		return f.NoteWhole(v.Dump.Dump, v.Dump.Files)
	})
	if err != nil {
		h.logger.Warn("cannot record the run's last dump", "error", err)
	}
}

// noteEnd notes in the run folder how the run ended: what starts there next, and why,
// is told long after Nomad has dropped the event.
func (h *Handle) noteEnd(ctx context.Context, r *run, exit verdict.Exit, o output.Outcome) {
	past, ended := runfolder.Past(h.ID, &r.Details), exit.Finished.UTC()
	if ended.IsZero() {
		ended = time.Now().UTC()
	}
	past.Ended, past.Outcome, past.Reason, past.Dump = &ended, o.Kind, o.Reason, o.RestartFile
	if past.Signal = exit.Signal; exit.Known {
		past.ExitCode = &exit.Code
	}
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	if err := r.watcher.Do(ctx, func(f *rundir.Folder) error { return f.NoteRun(past) }); err != nil {
		h.logger.Warn("cannot note in the run folder how the run ended", "error", err)
	}
}

// leavePage leaves a page about the run in its folder, where the job wants one. What comes
// of it changes nothing else.
func (h *Handle) leavePage(ctx context.Context, r *run, s output.Snapshot, exit verdict.Exit, o output.Outcome) {
	if !r.Report {
		return
	}
	page := lastpage.Run{
		ID: h.ID, Details: &r.Details, Process: h.Process(), Events: h.Events, Snapshot: s, Exit: exit, Outcome: o, Program: h.program,
	}
	page.Topology, page.Isolated = h.Binder.Machine()
	if err := lastpage.Leave(ctx, r.watcher, page); err != nil && ctx.Err() == nil {
		h.say("The run has left %v", err)
	}
}

// wasStopped reports whether somebody had the run stopped, or the driver ended it.
func (h *Handle) wasStopped() bool { return !h.stopDeadline().IsZero() || h.why().Reason != "" }
