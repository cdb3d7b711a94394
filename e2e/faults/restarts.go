// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/tamper"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// A run that has a dump goes on from that, whatever cannot be read for a while.
var restartFaults = []fault{
	doubted("include away", 4, tamper.Away("mesh.k", "material.k")),
	doubted("deck away", 3, tamper.Away("main.k")),
	doubted("deck unreadable", 3, tamper.Unreadable("main.k", "mesh.k")),
	doubted("run's record unreadable", 3, tamper.Unreadable(tamper.Record)),
	doubted("run's record missing", 4, tamper.Away(tamper.Record)),
	doubted("run's record damaged", 3, tamper.DamageRecord),
	doubted("run's record replaced", 3, tamper.ReplaceRecord),
	doubted("outputs unreadable", 3, tamper.Unreadable("messag")),
	{name: "dump, then all killed", weight: 5, inject: unlessGivenUp(allKilled)},
}

// doubted is a fault in which a solver that has written a dump is killed, and its task
// started again while something is missing that tells whose dump that is. It is put back
// when the start has failed, and the next one goes on from the dump.
func doubted(name string, weight int, take tamper.Doubt) fault {
	return fault{name: name, weight: weight, inject: unlessGivenUp(func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		j, dump, err := c.dumped(ctx)
		if err != nil {
			return "", err
		}
		what, putBack, err := take(j.disk, rng)
		what = fmt.Sprintf("%s, %s", j.name, what)
		if err != nil {
			return what, err
		}
		began := time.Now()
		err = c.killSolver(j)
		if err == nil {
			err = c.tried(ctx, j, began, dump)
		}
		if err := errors.Join(err, putBack()); err != nil {
			return what, err
		}
		if err := c.hearsOf(ctx, j, check.GoesOn, began, goingOn+dump); err != nil {
			return what, err
		}
		return what, errors.Join(c.keepsEnd(ctx, j, syscall.SIGKILL), c.ends(ctx, j))
	})}
}

// keepsEnd demands that the run folder tells of an end of the job's solver by a signal:
// Nomad's events of it go by.
func (c *campaign) keepsEnd(ctx context.Context, j *job, sig syscall.Signal) error {
	return c.timed(ctx, func(ctx context.Context) error {
		out, err := exec.CommandContext(ctx, c.client.PluginPath(), "inspect", "-json", j.folder).Output()
		if err != nil {
			return fmt.Errorf("inspect %s: %w", j.folder, err)
		}
		return endedBy(out, j, sig)
	})
}

// endedBy says what is missing in an answer of inspect, as the breach of a rule.
func endedBy(answer []byte, j *job, sig syscall.Signal) error {
	var report struct {
		Last []struct {
			Run    string     `json:"run"`
			Ended  *time.Time `json:"ended_at"`
			Signal int        `json:"signal"`
		} `json:"last_runs"`
	}
	if err := json.Unmarshal(answer, &report); err != nil {
		return fmt.Errorf("inspect %s: %w", j.folder, err)
	}
	for _, r := range report.Last {
		if strings.HasPrefix(r.Run, j.alloc+"/") && r.Ended != nil && r.Signal == int(sig) {
			return nil
		}
	}
	return &lostError{[]check.Violation{{Rule: check.ToldTrue, Evidence: fmt.Sprintf("no end of %s by %v among its last runs: %+v", j.name, sig, report.Last)}}}
}

// goingOn is what an event says of a start from a dump.
const goingOn = "Restarting from "

// tried waits until Nomad has tried to start the job's task again. What is missing may be
// of no matter: then it has started.
func (c *campaign) tried(ctx context.Context, j *job, since time.Time, dump string) error {
	return c.awaits(ctx, j.alloc, check.GoesOn, "another start of "+j.name, func(alloc *api.Allocation) (bool, string) {
		failed := len(eventsSince(alloc, since, "Driver Failure: ")) > 0
		return failed || len(eventsSince(alloc, since, goingOn+dump)) > 0, cluster.DescribeAlloc(alloc)
	})
}

// dumped starts a job that Nomad starts again when its solver ends, and has it write a
// dump.
func (c *campaign) dumped(ctx context.Context) (j *job, dump string, err error) {
	const first = "d3dump01"
	if j, err = c.computes(ctx, "goes-on"); err != nil {
		return j, "", err
	}
	since := time.Now()
	if err := c.signals(ctx, j, "SIGUSR1"); err != nil {
		return j, "", err
	}
	if err := c.hearsOf(ctx, j, check.DumpTaken, since, "Switch sw3, dump "+first+" written"); err != nil {
		return j, "", err
	}
	c.observer.AddDump(j.alloc, first)
	return j, first, nil
}

// killSolver kills the solver of the job's run.
func (c *campaign) killSolver(j *job) error {
	p, err := c.solverOf(j)
	if err != nil {
		return err
	}
	c.kills(p)
	return cluster.Signal(proc.Process{PID: p.PID, StartTicks: p.Start}, syscall.SIGKILL)
}

// allKilled kills everything when the driver has told of a dump. The solver's last word
// on disk is then the line of that dump: what it may have said behind it is cut off. The
// file server may hang when the client comes back, which then can tell nothing for a while.
func allKilled(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
	hangs := rng.IntN(2) == 0
	j, dump, err := c.dumped(ctx)
	if err != nil {
		return "", err
	}
	what, began := j.name, time.Now()
	if hangs = hangs && j.served; hangs {
		what += ", whose folder hangs"
	}
	err = c.downed(ctx, c.killBoth, func() error {
		err := errors.Join(c.killSupervisor(j), c.killSolver(j), c.gone(ctx, j), tamper.CutBehind(j.disk, dump))
		if hangs && err == nil {
			err, c.hangs = c.served.Hang(), true
		}
		return err
	})
	if c.hangs {
		c.hangs = false
		err = errors.Join(err, c.served.Resume())
	}
	if err != nil {
		return what, err
	}
	return what, errors.Join(c.hearsOf(ctx, j, check.GoesOn, began, goingOn+dump), c.ends(ctx, j))
}
