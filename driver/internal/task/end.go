// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/events"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/lastpage"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settle"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/switches"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ended"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/workplace"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// end is the one way in which a run ends, seen live, found over, or after a
// reboot: the exit status is read where that can be, the last of its processes ended, its cores given
// back, and only then its outputs are read and its outcome decided. ctx ends with
// the driver, or when Nomad destroys the task: then the next plugin process does
// the rest, if anybody does.
func (h *Handle) end(ctx context.Context) {
	if !h.awaitRecord(ctx) {
		return
	}
	exit, foreign := h.exit()
	if !h.endLeftovers(ctx) {
		return
	}
	if err := h.removeCgroups(); err != nil {
		h.logger.Warn("cannot remove the run's cgroup", "error", err)
	}
	h.Binder.Release()
	if err := h.emptyCpuset(); err != nil {
		h.logger.Warn("cannot empty the task's cpuset", "error", err)
	}
	_, _ = h.advance(leave) // legal in every phase
	if foreign && h.adopted && !h.over {
		exit = h.exitAsTold(ctx, exit)
	}
	select {
	case <-h.known:
	case <-ctx.Done(): // without its details nobody knows where its outputs are
		return
	}
	r := h.run.Load()
	if len(r.Completed) > 0 {
		h.endAsCompleted(r)
		return
	}
	if r.isFollower() {
		h.endAsFollower(ctx, r, exit)
		return
	}
	exit.Launcher = lsdyna.MPI(r.MPI)
	r.switches.Load(h.Record())
	r.switches.Recall(ctx)
	h.recallStop(ctx, r)
	v, err := h.readOutputs(ctx, r)
	if ctx.Err() != nil {
		return
	}
	h.tellNodes(v.Snapshot)
	outcome := h.decide(v.Snapshot, exit, err)
	h.checkLicence(r, v.Snapshot)
	if err == nil { // else there is no folder to write to, and nothing to go by
		h.settling(r).Note(ctx, settle.End{Snapshot: v.Snapshot, Exit: exit, Outcome: outcome, Why: h.why(), Switch: v.Switch})
	}
	if ctx.Err() != nil {
		return // what is not noted in the folder must not be told to Nomad: it starts the task again
	}
	h.tellSwitches(v, switches.Ending{Succeeded: outcome.Success(), Clean: exit.Clean()})
	h.refuseSwitches(r, "the run has ended")
	h.Events.EmitRedacted(events.Sentence(outcome.Reason))
	h.tellWhereResultsAre(r)
	if err == nil {
		h.leavePage(ctx, r, v.Snapshot, exit, outcome)
	}
	h.finish(v.Snapshot, outcome, exit)
}

// endAsCompleted ends a task that had nothing to do as the run ended that its
// allocation had completed before.
func (h *Handle) endAsCompleted(r *run) {
	var c ended.Completion
	o := output.Outcome{Kind: output.Completed}
	if err := json.Unmarshal(r.Completed, &c); err != nil {
		o.Kind, c.Reason = output.Unknown, fmt.Sprintf("unknown: cannot tell how the completed run ended: %v", err)
	}
	o.Reason = h.Events.Redact(c.Reason)
	h.Events.EmitRedacted(events.Sentence(o.Reason))
	h.conclude(verdict.Result(o, c.Exit()), o, time.Now())
}

// exit waits for the supervisor's end and reads the exit record. foreign: the pid file
// says that this is not the run's.
func (h *Handle) exit() (exit verdict.Exit, foreign bool) {
	rec, err := h.Process().Wait(context.Background())
	if err != nil {
		if !errors.Is(err, supervisor.ErrExitUnknown) {
			h.logger.Error("cannot read the exit record", "error", err)
		}
		return verdict.Exit{Rebooted: errors.Is(err, supervisor.ErrRebooted)}, errors.Is(err, supervisor.ErrForeignExit)
	}
	return exitOf(rec), false
}

// exitAsTold is the exit status of a run whose pid file names other processes than its
// exit record: which of them are the run's, Nomad's driver state tells, for which is
// waited. The run's cores are free already.
func (h *Handle) exitAsTold(ctx context.Context, unknown verdict.Exit) verdict.Exit {
	ctx, cancel := context.WithTimeout(ctx, h.patience.Unclaimed)
	defer cancel()
	select {
	case <-h.asked:
	case <-ctx.Done():
		return unknown
	}
	rec, err := supervisor.ReadExitOf(h.Record().Dir, h.remembered())
	if err != nil {
		return unknown
	}
	return exitOf(rec)
}

func exitOf(rec supervisor.ExitRecord) verdict.Exit {
	return verdict.Exit{
		Exit:     output.Exit{Known: true, Code: rec.Code, Signal: rec.Signal, OOMKilled: rec.OOMKilled},
		Finished: rec.FinishedAt,
	}
}

// endLeftovers ends what a killed supervisor could not end. It reports false when
// the context ended before the last process did. A live run that came after this
// one has the same cgroup; its start ended them.
func (h *Handle) endLeftovers(ctx context.Context) bool {
	for told := false; !h.successor(); told = true {
		tree, err := h.Process().Tree()
		if err != nil {
			return true // nothing tells what there was
		}
		attempt, cancel := context.WithTimeout(ctx, killPatience)
		err = tree.Kill(attempt)
		cancel()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if !told {
			h.say("The solver left processes that the kernel cannot end yet; its cores stay its own until they are gone: %v", err)
		}
	}
	return true
}

// recallStop lets the end of a run whose stop an earlier plugin process had begun be
// told as one. The solver may have ended by that one's switch before this one came to
// sending it, or to finding that it lies there.
func (h *Handle) recallStop(ctx context.Context, r *run) {
	order, err := h.kept.ReadStop()
	if err == nil {
		h.recall(order)
	}
	if err != nil || !h.over && !(h.adopted && order.Began.Before(h.found)) {
		return
	}
	sw, err := lsdyna.ParseStop(r.Stop)
	if err != nil {
		return
	}
	_ = r.watcher.Recall(ctx, watch.Sending{Switch: sw, Asked: order.Began, LastDump: switches.DecodeDump(order.LastDump)})
}

// readOutputs reads the last of the outputs. The error says that they could not be read in
// time. What lies under the path of a folder that was removed under its solver is not the
// run's.
func (h *Handle) readOutputs(ctx context.Context, r *run) (watch.View, error) {
	v := r.watcher.View()
	switch {
	case r.RunBase == "":
		return v, nil // nothing tells where they are
	case v.Gone != nil:
		h.tellGone(v.Gone)
		return v, v.Gone
	}
	v, err := h.settling(r).ReadOutputs(ctx)
	if gone, ok := errors.AsType[*workplace.GoneError](err); ok {
		h.tellGone(gone)
	}
	return v, err
}

// settling is the run with its folder when it is over.
func (h *Handle) settling(r *run) *settle.Run {
	return &settle.Run{
		ID: h.ID, Details: &r.Details, Watcher: r.watcher, Patience: h.patience.Patience,
		Stopped: func() bool { return !h.stopDeadline().IsZero() }, Say: h.say, Logger: h.logger,
	}
}

// decide is verdict.Decide's, without secrets.
func (h *Handle) decide(s output.Snapshot, exit verdict.Exit, unread error) output.Outcome {
	o := verdict.Decide(s, exit, h.why(), unread, h.Folder())
	o.Reason = h.Events.Redact(o.Reason)
	return o
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
