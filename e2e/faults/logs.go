// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"

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
		j, err := c.startKind(ctx, "flood")
		if err != nil {
			return "", err
		}
		p, err := c.logmon(rng)
		if err != nil || p.PID == 0 {
			return j.name, err
		}
		return fmt.Sprintf("%s, logmon %d killed", j.name, p.PID), cluster.Signal(p, syscall.SIGKILL)
	}},
}

// slowReaders freezes all log collectors under a flood of output, until the
// solver has written much more than a pipe holds.
func slowReaders(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
	j, err := c.startKind(ctx, "flood")
	if err != nil {
		return "", err
	}
	readers, err := c.logmons()
	for _, p := range readers {
		err = errors.Join(err, cluster.Signal(p, syscall.SIGSTOP))
	}
	const plenty = 1 << 20
	err = errors.Join(err, c.timed(ctx, func(ctx context.Context) error {
		return cluster.Poll(ctx, "a flood from "+j.name, func() (bool, string, error) {
			info, err := os.Stat(filepath.Join(j.folder, "stdout"))
			if err == nil && info.Size() > plenty {
				return true, "", nil
			}
			alloc, _, err := c.server.API.Allocations().Info(j.alloc, nil)
			if err != nil {
				return false, err.Error(), nil
			}
			over, seen := cluster.Terminal(alloc)
			return over, seen, nil
		})
	}))
	for _, p := range readers {
		err = errors.Join(err, cluster.Signal(p, syscall.SIGCONT))
	}
	return fmt.Sprintf("%d frozen while %s wrote", len(readers), j.name), err
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
