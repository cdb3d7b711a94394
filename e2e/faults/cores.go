// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/tamper"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
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
		return fmt.Sprintf("solver %d of %s to core %d", pid, c.jobOf(t.process.Alloc), core), tamper.BindThreads(pid, &mask)
	}},
	{name: "cores taken away", weight: 5, inject: func(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
		for _, j := range c.jobs {
			if j.kind.Cores {
				return j.name + " gives its core back", c.stop(j)
			}
		}
		j, err := c.startKind(ctx, "reserved", bySeed)
		if err != nil {
			return "", err
		}
		return "by " + j.name, nil
	}, missing: withoutTwoCores},
	{name: "fewer cores usable", weight: 3, inject: fewerCores, missing: withoutTwoCores},
}

func withoutTwoCores(c *campaign) string {
	if len(c.usable) < 2 {
		return "needs two cores"
	}
	return ""
}

// fewerCores has an operator take a core out of cores.usable, and give it back: whoever is
// on another one stays there.
func fewerCores(ctx context.Context, c *campaign, rng *rand.Rand) (what string, err error) {
	n := rng.IntN(len(c.usable))
	// What Nomad reserves is its own matter.
	for _, j := range c.jobs {
		if j.kind.Cores {
			if err := errors.Join(c.stop(j), c.gone(ctx, j)); err != nil {
				return "", err
			}
		}
	}
	out := c.usable[n]
	what = fmt.Sprintf("without core %d", out)
	err = c.usableFrom(ctx, slices.Delete(slices.Clone(c.usable), n, n+1), out)
	if err == nil {
		err = c.keepCores(ctx)
	}
	return what, errors.Join(err, c.usableFrom(ctx, c.usable, out))
}

// usableFrom starts the client again with other usable cores. Who has the one that comes
// or goes may get others.
func (c *campaign) usableFrom(ctx context.Context, cores []int, other int) error {
	return c.downed(ctx, c.killBoth, func() error {
		all, err := c.targets()
		for _, t := range all {
			if slices.Contains(t.cores, other) {
				c.touch(t)
			}
		}
		c.observer.Site.Usable, c.client.Config.PluginConfig = cores, c.pluginConfig(cores)
		return err
	})
}

// keepCores waits until the rules hold for cores that have changed. Who may stay has the
// cores that it had.
func (c *campaign) keepCores(ctx context.Context) error {
	var pending []check.Violation
	err := c.timed(ctx, func(ctx context.Context) error {
		return cluster.Poll(ctx, "the rules for fewer cores", func() (bool, string, error) {
			w, err := c.observer.Look(ctx, true)
			if err != nil {
				return false, err.Error(), nil
			}
			if lost := check.Always(w); len(lost) > 0 {
				return false, "", &lostError{lost}
			}
			if pending = append(check.Settled(w), check.Unpinned(w, c.asked())...); len(pending) > 0 {
				return false, fmt.Sprint(pending), nil
			}
			if lost := check.Kept(c.world, w, c.tampered); len(lost) > 0 {
				return false, "", &lostError{lost}
			}
			return true, "", nil
		})
	})
	if errors.Is(err, context.DeadlineExceeded) && len(pending) > 0 {
		return &lostError{pending}
	}
	return err
}
