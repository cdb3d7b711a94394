// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// Nomad's log collectors are processes of its own binary, one for each task.
var logFaults = []fault{
	{name: "kill log reader", weight: 4, inject: func(_ context.Context, c *campaign, rng *rand.Rand) (string, error) {
		p, err := c.logmon(rng)
		if err != nil || p.PID == 0 {
			return "no log reader", err
		}
		return fmt.Sprintf("logmon %d", p.PID), cluster.Signal(p, syscall.SIGKILL)
	}},
	{name: "slow log readers", weight: 3, inject: slowReaders},
	{name: "flood of output", weight: 3, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		what, err := c.flood(ctx, rng)
		if err != nil {
			return what, err
		}
		p, err := c.logmon(rng)
		if err != nil || p.PID == 0 {
			return what, err
		}
		return fmt.Sprintf("%s, logmon %d killed", what, p.PID), cluster.Signal(p, syscall.SIGKILL)
	}},
}

// flood has some running task write much more to its standard output than a pipe
// holds: the solver's file, and with it the log, grows as if the solver wrote.
func (c *campaign) flood(ctx context.Context, rng *rand.Rand) (string, error) {
	n := rng.IntN(1 << 20)
	w, err := c.observer.Look(ctx, false)
	if err != nil {
		return "", err
	}
	running := slices.DeleteFunc(w.Allocs, func(a check.Alloc) bool {
		return a.Status != "running" || a.State != "running" || a.Desired != "run"
	})
	if len(running) == 0 {
		return "no running task", nil
	}
	a := running[n%len(running)]
	err = c.exec(ctx, a.ID, "/bin/sh", "-c", "yes 'a flood of output' | head -c 4000000 >> stdout")
	if err != nil {
		return fmt.Sprintf("%s ended before its flood", a.Job), nil //nolint:nilerr // what became of it, the checker sees
	}
	return "from " + a.Job, nil
}

// slowReaders freezes all log collectors under a flood of output.
func slowReaders(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
	readers, err := c.logmons()
	for _, p := range readers {
		err = errors.Join(err, cluster.Signal(p, syscall.SIGSTOP))
	}
	what, flooded := c.flood(ctx, rng)
	err = errors.Join(err, flooded)
	for _, p := range readers {
		err = errors.Join(err, cluster.Signal(p, syscall.SIGCONT))
	}
	return fmt.Sprintf("%d frozen, flood %s", len(readers), what), err
}

// logmons returns the client's log collectors.
func (c *campaign) logmons() ([]proc.Process, error) {
	return proc.Select(func(p proc.Process) bool {
		return p.PPID == c.client.PID() && len(p.Args) > 1 && p.Args[1] == "logmon"
	})
}

// logmon picks one of the client's log collectors; none has process id 0.
func (c *campaign) logmon(rng *rand.Rand) (proc.Process, error) {
	n := rng.IntN(1 << 20)
	all, err := c.logmons()
	if err != nil || len(all) == 0 {
		return proc.Process{}, err
	}
	slices.SortFunc(all, func(a, b proc.Process) int { return a.PID - b.PID })
	return all[n%len(all)], nil
}
