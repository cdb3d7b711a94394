// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/tamper"
)

var diskFaults = []fault{
	{name: "full disk", weight: 6, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		return c.without(ctx, rng, c.fillDisk)
	}},
	{name: "read-only state_dir", weight: 5, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		return c.without(ctx, rng, c.protectState)
	}, missing: withoutNsenter},
}

// without makes state_dir unwritable, lets something happen that would write to
// it, and makes it writable again.
func (c *campaign) without(ctx context.Context, rng *rand.Rand, block func() (undo func() error, err error)) (what string, err error) {
	undo, err := block()
	if err != nil {
		return "", err
	}
	switch rng.IntN(5) {
	case 0:
		what = "when the plugin is killed"
		_, err = c.killPlugin(ctx)
		err = errors.Join(err, c.recovered(ctx))
	case 1:
		what, err = c.killOne(rng, check.Solver, syscall.SIGKILL)
	case 2:
		var j *job
		if j, err = c.start(ctx); err == nil {
			what = "when " + j.name + " is to start"
			_, err = c.decided(ctx, j)
		}
	case 3:
		what = "when agent and plugin are killed"
		err = c.downed(ctx, c.killBoth, nil)
	case 4:
		j := c.jobs[rng.IntN(len(c.jobs))]
		what, err = "when "+j.name+" is to stop", c.stop(j)
	}
	return what, errors.Join(err, undo())
}

func (c *campaign) fillDisk() (undo func() error, err error) { return tamper.Fill(c.state) }

func (c *campaign) protectState() (undo func() error, err error) {
	return tamper.Protect(c.state, c.client.PID)
}
