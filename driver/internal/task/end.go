// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/switches"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ended"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Of reading the outputs of a run that is over.
const (
	readAttempt = 30 * time.Second // one attempt
	readNotice  = 5 * time.Second  // after which an event says that they are waited for
	readPause   = 500 * time.Millisecond
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
	exit := h.exit()
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
	clean := exit.Known && exit.Code == 0 && exit.Signal == 0
	if err == nil { // else there is no folder to write to, and nothing to go by
		if clean {
			h.noteLastDump(ctx, r, v.Switch)
		}
		h.settleRecord(ctx, r, v.Snapshot, exit, outcome)
		h.noteEnd(ctx, r, exit, outcome)
	}
	if ctx.Err() != nil {
		return // what is not noted in the folder must not be told to Nomad: it starts the task again
	}
	h.tellSwitches(v, switches.Ending{Succeeded: outcome.Success(), Clean: clean})
	h.refuseSwitches(r, "the run has ended")
	h.Events.EmitRedacted(Sentence(outcome.Reason))
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
	h.Events.EmitRedacted(Sentence(o.Reason))
	h.conclude(verdict.Result(o, c.Exit()), o, time.Now())
}

func (h *Handle) exit() verdict.Exit {
	rec, err := h.Process().Wait(context.Background())
	if err != nil {
		if !errors.Is(err, supervisor.ErrExitUnknown) {
			h.logger.Error("cannot read the exit record", "error", err)
		}
		return verdict.Exit{Rebooted: errors.Is(err, supervisor.ErrRebooted)}
	}
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

// readOutputs reads the last of the outputs. A folder that cannot be read is waited
// for; the error says that it could not be read in time. What lies under the path of a
// folder that was removed under its solver is not the run's.
func (h *Handle) readOutputs(ctx context.Context, r *run) (watch.View, error) {
	if r.RunBase == "" {
		return r.watcher.View(), nil // nothing tells where they are
	}
	if v := r.watcher.View(); v.Gone != nil {
		h.tellGone(v.Gone)
		return v, v.Gone
	}
	began, told := time.Now(), false
	var owned *ownership.OwnedError
	var missing time.Time // since when the folder cannot be opened; zero: it can, or nothing tells
	for {
		patient := readAttempt
		if !told {
			patient = readNotice
		}
		if left := h.outputsPatience(nil) - time.Since(began); left < patient {
			patient = max(left, readPause)
		}
		attempt, cancel := context.WithTimeout(ctx, patient)
		v, err := r.watcher.Finish(attempt)
		cancel()
		if !rundir.Unreadable(err) {
			if errors.As(err, &owned) {
				return v, err // what lies there is another run's
			}
			if err != nil {
				h.logger.Warn("cannot read the solver's last outputs", "error", err)
			}
			return v, nil
		}
		if !isMissing(err) {
			missing = time.Time{}
		} else if missing.IsZero() {
			missing = time.Now()
		}
		if v.Told && time.Since(began) > h.patience.Partial {
			h.say("Not all of the solver's outputs can be read; stdout tells the outcome: %v", err)
			return v, nil
		}
		patience, since := h.outputsPatience(err), began
		if !missing.IsZero() {
			since = missing // a server that was away comes back without its folders first
		}
		if ctx.Err() != nil || time.Since(since) > patience || time.Since(began) > h.outputsPatience(nil) {
			return v, err
		}
		if !told && time.Since(began) >= readNotice {
			told = true
			h.say("The solver has ended and its cores are free; its run folder cannot be read, waiting up to %s for it: %v", patience, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(readPause):
		}
	}
}

// outputsPatience is how long an error of reading them is waited out.
func (h *Handle) outputsPatience(err error) time.Duration {
	patience := h.patience.Silent
	if isMissing(err) {
		patience = h.patience.Missing
	}
	if !h.stopDeadline().IsZero() {
		patience = min(patience, h.patience.Stopped)
	}
	return patience
}

// isMissing reports whether an error says that the folder cannot be opened, by a
// file system that answers and does not fail.
func isMissing(err error) bool { return errors.Is(err, rundir.ErrNotOpen) && !rundir.Unavailable(err) }

// decide is verdict.Decide's, without secrets.
func (h *Handle) decide(s output.Snapshot, exit verdict.Exit, unread error) output.Outcome {
	o := verdict.Decide(s, exit, h.why(), unread, h.Folder())
	o.Reason = h.Events.Redact(o.Reason)
	return o
}
