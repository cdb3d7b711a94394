// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

var raceFaults = []fault{
	{name: "stop a job", weight: 6, inject: func(_ context.Context, c *campaign, rng *rand.Rand) (string, error) {
		j := c.jobs[rng.IntN(len(c.jobs))]
		return j.name, c.stop(j)
	}},
	{name: "stop right after start", weight: 4, inject: func(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
		j, err := c.start(ctx)
		if err != nil {
			return "", err
		}
		return j.name, c.stop(j)
	}},
	{name: "kill plugin in start", weight: 6, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		plugin, err := c.livePlugin(ctx, 0) // to look for it later takes longer than the rest of a start
		if err != nil {
			return "", err
		}
		j, err := c.startBegun(ctx, rng)
		if err != nil {
			return "", err
		}
		if err := cluster.Signal(plugin, syscall.SIGKILL); err != nil {
			return j.name, err
		}
		_, err = c.livePlugin(ctx, plugin.PID)
		return j.name, errors.Join(err, c.recovered(ctx))
	}},
	{name: "kill client in start", weight: 3, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		j, err := c.startBegun(ctx, rng)
		if err != nil {
			return "", err
		}
		return j.name, c.downed(ctx, c.client.Kill, nil)
	}},
	{name: "kill both in start", weight: 3, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		j, err := c.startBegun(ctx, rng)
		if err != nil {
			return "", err
		}
		return j.name, c.downed(ctx, c.killBoth, nil)
	}},
	{name: "kill plugin in stop", weight: 4, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		j := c.jobs[rng.IntN(len(c.jobs))]
		if err := c.stop(j); err != nil {
			return "", err
		}
		_, err := c.killPlugin(ctx)
		return j.name, errors.Join(err, c.recovered(ctx))
	}},
	{name: "kill both in stop", weight: 3, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		j := c.jobs[rng.IntN(len(c.jobs))]
		if err := c.stop(j); err != nil {
			return "", err
		}
		return j.name, c.downed(ctx, c.killBoth, nil)
	}},
	{name: "two plugins", weight: 3, inject: func(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
		// A client that is killed while it launches a plugin forgets that plugin.
		if _, err := c.killPlugin(ctx); err != nil {
			return "", err
		}
		return "one of them forgotten", c.downed(ctx, c.client.Kill, nil)
	}},
}

// startBegun submits a job and returns in the middle of its start: when the record's
// folder appears, or when its pid file does, which is just before the solver is
// executed and before Nomad has a handle.
func (c *campaign) startBegun(ctx context.Context, rng *rand.Rand) (*job, error) {
	trace := []string{"*", "*/pid"}[rng.IntN(2)]
	j, err := c.start(ctx)
	if err != nil {
		return nil, err
	}
	return j, c.timed(ctx, func(ctx context.Context) error {
		return cluster.Poll(ctx, "the start of "+j.name, func() (bool, string, error) {
			if begun, err := c.glimpse(j, trace); begun || err != nil {
				return true, "", err
			}
			alloc, _, err := c.server.API.Allocations().Info(j.alloc, nil)
			if err != nil {
				return false, err.Error(), nil
			}
			over, seen := cluster.Terminal(alloc) // it was quick
			return over, seen, nil
		})
	})
}

// glimpse looks for a trace of the job's start for a while, and often: what it is
// there to hit takes milliseconds.
func (c *campaign) glimpse(j *job, trace string) (bool, error) {
	const looks, pause = 200, time.Millisecond
	for range looks {
		paths, err := filepath.Glob(filepath.Join(c.state, "tasks", j.alloc, "lsdyna", trace))
		if len(paths) > 0 || err != nil {
			return true, err
		}
		time.Sleep(pause) //nolint:forbidigo // so many looks, not so long
	}
	return false, nil
}

// decided waits until Nomad has started the job's task, or has given it up.
func (c *campaign) decided(ctx context.Context, j *job) (running bool, err error) {
	err = c.timed(ctx, func(ctx context.Context) error {
		_, err := c.client.WaitAlloc(ctx, j.alloc, func(alloc *api.Allocation) (bool, string) {
			state := alloc.TaskStates["lsdyna"]
			if state == nil {
				return false, "no task state"
			}
			running = state.State == "running"
			return state.State != "pending" || state.Restarts > 0, state.State
		})
		return err
	})
	return running, err
}
