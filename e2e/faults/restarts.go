// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// runRecord is what a run leaves in its folder, so that a later start knows its dumps.
const runRecord = ".lsdyna-run.json"

// A run that has a dump goes on from that, whatever cannot be read for a while.
var restartFaults = []fault{
	doubted("include away", 4, func(j *job, rng *rand.Rand) (string, func() error, error) {
		return away(j, []string{"mesh.k", "material.k"}[rng.IntN(2)])
	}),
	doubted("deck away", 3, func(j *job, _ *rand.Rand) (string, func() error, error) { return away(j, "main.k") }),
	doubted("deck unreadable", 3, func(j *job, rng *rand.Rand) (string, func() error, error) {
		return unreadable(j, []string{"main.k", "mesh.k"}[rng.IntN(2)])
	}),
	doubted("run's record unreadable", 3, func(j *job, _ *rand.Rand) (string, func() error, error) { return unreadable(j, runRecord) }),
	doubted("run's record missing", 4, func(j *job, _ *rand.Rand) (string, func() error, error) { return away(j, runRecord) }),
	doubted("run's record damaged", 3, damaged),
	doubted("run's record replaced", 3, replaced),
	doubted("outputs unreadable", 3, func(j *job, _ *rand.Rand) (string, func() error, error) { return unreadable(j, "messag") }),
	{name: "dump, then all killed", weight: 5, inject: unlessGivenUp(allKilled)},
}

// doubted is a fault in which a solver that has written a dump is killed, and its task
// started again while something is missing that tells whose dump that is. It is put back
// when the start has failed, and the next one goes on from the dump.
func doubted(name string, weight int, take func(*job, *rand.Rand) (what string, putBack func() error, err error)) fault {
	return fault{name: name, weight: weight, inject: unlessGivenUp(func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		j, dump, err := c.dumped(ctx)
		if err != nil {
			return "", err
		}
		what, putBack, err := take(j, rng)
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
	if j, err = c.computes(ctx, "goes-on", lasting); err != nil {
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

// away takes a file out of the job's folder.
func away(j *job, name string) (what string, putBack func() error, err error) {
	path, aside := filepath.Join(j.disk, name), j.disk+"."+name
	return name, func() error { return os.Rename(aside, path) }, os.Rename(path, aside)
}

// unreadable leaves a file where the tasks' user may not read it.
func unreadable(j *job, name string) (what string, putBack func() error, err error) {
	path := filepath.Join(j.disk, name)
	info, err := os.Stat(path)
	if err != nil {
		return name, nil, err
	}
	return name, func() error { return os.Chmod(path, info.Mode().Perm()) }, os.Chmod(path, 0)
}

// damaged leaves half of the run's record.
func damaged(j *job, rng *rand.Rand) (what string, putBack func() error, err error) {
	path := filepath.Join(j.disk, runRecord)
	data, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	left := rng.IntN(len(data))
	// In place: it stays the tasks' user's.
	return fmt.Sprintf("%d of %d bytes left", left, len(data)), func() error { return os.WriteFile(path, data, 0o644) }, os.Truncate(path, int64(left))
}

// replaced puts something else in the place of the run's record.
func replaced(j *job, rng *rand.Rand) (what string, putBack func() error, err error) {
	path, other := filepath.Join(j.disk, runRecord), noFiles[rng.IntN(len(noFiles))]
	_, restore, err := away(j, runRecord)
	if err == nil {
		err = other.put(path)
	}
	return "a " + other.name, func() error { return errors.Join(os.Remove(path), restore()) }, err
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
		err := errors.Join(c.killSupervisor(j), c.killSolver(j), c.gone(ctx, j), cutBehind(j, dump))
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

// cutBehind cuts the job's outputs off behind the line of a dump.
func cutBehind(j *job, dump string) error {
	for _, name := range []string{"stdout", "messag"} {
		path := filepath.Join(j.disk, name)
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		line := bytes.Index(text, []byte("write "+dump+" file"))
		if line < 0 {
			return fmt.Errorf("%s does not tell of %s", path, dump)
		}
		if end := bytes.IndexByte(text[line:], '\n'); end >= 0 {
			if err := os.Truncate(path, int64(line+end+1)); err != nil {
				return err
			}
		}
	}
	return nil
}
