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
	"strconv"

	"golang.org/x/sys/unix"
)

var coreFaults = []fault{
	{name: "foreign affinity", weight: 5, inject: func(_ context.Context, c *campaign, rng *rand.Rand) (string, error) {
		n := rng.IntN(1 << 20)
		all, err := c.targets()
		pinned := slices.DeleteFunc(slices.Clone(all), func(t target) bool { return len(t.cores) == 0 })
		if len(pinned) > 0 {
			all = pinned
		}
		if err != nil || len(all) == 0 {
			return "no solver", err
		}
		t := all[n%len(all)]
		others := slices.DeleteFunc(slices.Clone(c.observer.Site.Usable), func(core int) bool { return slices.Contains(t.cores, core) })
		if len(others) == 0 {
			others = c.observer.Site.Usable
		}
		core, pid := others[n%len(others)], t.process.PID
		var mask unix.CPUSet
		mask.Set(core)
		return fmt.Sprintf("solver %d of %s to core %d", pid, c.jobOf(t.process.Alloc), core), bindThreads(pid, &mask)
	}},
	{name: "cores taken away", weight: 5, inject: func(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
		for _, j := range c.jobs {
			if j.kind.cores {
				return j.name + " gives its core back", c.stop(j)
			}
		}
		j, err := c.startKind(ctx, "reserved", bySeed)
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
