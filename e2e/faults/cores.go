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
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
)

var coreFaults = []fault{
	{name: "foreign affinity", weight: 5, inject: func(_ context.Context, c *campaign, rng *rand.Rand) (string, error) {
		n := rng.IntN(1 << 20)
		all, err := c.victims(check.Solver)
		if err != nil || len(all) == 0 {
			return "no solver", err
		}
		p := all[n%len(all)]
		usable := c.observer.Site.Usable
		var mask unix.CPUSet
		mask.Set(usable[n%len(usable)])
		return fmt.Sprintf("solver %d of %s to core %d", p.PID, c.jobOf(p.Alloc), usable[n%len(usable)]), bindThreads(p.PID, &mask)
	}},
	{name: "cores taken away", weight: 5, inject: func(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
		for _, j := range c.jobs {
			if j.kind.cores {
				return j.name + " gives its core back", c.stop(j)
			}
		}
		j, err := c.startKind(ctx, "reserved")
		if err != nil {
			return "", err
		}
		return "by " + j.name, nil
	}, missing: func(c *campaign) string {
		if len(c.observer.Site.Usable) < 2 {
			return "needs two cores"
		}
		return ""
	}},
}

// bindThreads sets the affinity of every thread, as taskset -a does.
func bindThreads(pid int, mask *unix.CPUSet) error {
	threads, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // it has just ended
	}
	for _, t := range threads {
		tid, e := strconv.Atoi(t.Name())
		if e == nil {
			e = unix.SchedSetaffinity(tid, mask)
		}
		// The thread may have ended, or its cpuset may not have the core.
		if e != nil && !errors.Is(e, unix.ESRCH) && !errors.Is(e, unix.EINVAL) {
			err = errors.Join(err, fmt.Errorf("bind thread %d: %w", tid, e))
		}
	}
	return err
}
