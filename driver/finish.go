// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// finish is the one place where a task ends: the exit status is read, the last
// of the tree is ended, the outcome decided, and only then the cores go back.
func (t *task) finish() {
	exit := t.exit()
	t.endLeftovers()
	t.conclude(exit)
	t.checkLicence()
	t.settleRecord()
	t.followSwitch(true)
	t.releaseCores()
	t.say(t.lastWords())
	t.process().Close()
	t.closeFolder()
	close(t.done)
}

// exit returns what is known of the solver's end.
func (t *task) exit() output.Exit {
	rec, err := t.process().Wait(context.Background())
	if err != nil {
		if !errors.Is(err, supervisor.ErrExitUnknown) {
			t.logger.Error("cannot read the exit record", "error", err)
		}
		return output.Exit{}
	}
	t.mu.Lock()
	t.completedAt = rec.FinishedAt
	t.mu.Unlock()
	return output.Exit{Known: true, Code: rec.Code, Signal: rec.Signal, OOMKilled: rec.OOMKilled}
}

// endLeftovers ends what a killed supervisor could not end.
func (t *task) endLeftovers() {
	tree, err := t.process().Tree()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	if err := tree.Kill(ctx); err != nil {
		t.logger.Error("cannot end what the solver left behind", "error", err)
	}
}

// conclude reads the last of the outputs and makes the result.
func (t *task) conclude(exit output.Exit) {
	var s output.Snapshot
	if t.follow != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		t.followMu.Lock()
		defer t.followMu.Unlock()
		var err error
		if s, err = t.follow.Drain(ctx); err != nil {
			t.logger.Warn("cannot read the solver's last outputs", "error", err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.follow != nil {
		t.snapshot = s
	}
	t.exited = exit
	t.outcome = output.Decide(s, exit)
	if t.endReason != "" {
		t.outcome = output.Outcome{Kind: t.endKind, Reason: t.endReason, FirstError: t.outcome.FirstError}
	}
	t.outcome.Reason = t.events.redact(t.outcome.Reason)
	t.res = exitResult(t.outcome, exit)
	if t.completedAt.IsZero() {
		t.completedAt = time.Now()
	}
}

// lastWords is the outcome in one line: LS-DYNA's own words with t of the end
// time, cycles, elapsed time, errors and warnings.
func (t *task) lastWords() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return sentence(t.outcome.Reason)
}

// exitResult tells Nomad the truth about an outcome: LS-DYNA exits with 0 on
// errors too, so its code never makes a success.
func exitResult(o output.Outcome, exit output.Exit) *drivers.ExitResult {
	r := &drivers.ExitResult{ExitCode: exit.Code, Signal: exit.Signal, OOMKilled: exit.OOMKilled}
	if exit.Signal != 0 {
		r.ExitCode = 128 + exit.Signal
	}
	if !exit.Known {
		r.ExitCode = -1
	}
	if o.Success() && exit.Known && r.ExitCode == 0 && !exit.OOMKilled {
		return r
	}
	if r.ExitCode == 0 {
		r.ExitCode = 1
	}
	reason := o.Reason
	if !exit.Known {
		reason = "exit status unknown; " + reason
	}
	r.Err = errors.New(reason)
	return r
}
