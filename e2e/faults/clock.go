// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// clockSteps are what time servers and administrators do to a clock that is wrong.
var clockSteps = []time.Duration{-3 * time.Hour, -time.Minute, 5 * time.Second, time.Minute, 3 * time.Hour}

var clockFaults = []fault{
	{name: "clock step", weight: 8, missing: needsOwnClock, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		if err := c.takeNote(ctx); err != nil {
			return "", err
		}
		return stepClock(rng)
	}},
	{name: "clock step unseen", weight: 8, missing: needsOwnClock, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (what string, err error) {
		if err := c.takeNote(ctx); err != nil {
			return "", err
		}
		return what, c.downed(ctx, c.killBoth, func() (err error) {
			what, err = stepClock(rng)
			return err
		})
	}},
	{name: "clock step in stop", weight: 6, missing: needsOwnClock, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		j := c.jobs[rng.IntN(len(c.jobs))]
		if err := c.stop(j); err != nil {
			return "", err
		}
		if err := c.takeNote(ctx); err != nil {
			return "", err
		}
		what, err := stepClock(rng)
		if rng.IntN(2) == 0 {
			_, killed := c.killPlugin(ctx)
			err = errors.Join(err, killed, c.recovered(ctx))
			what += ", plugin killed"
		}
		return j.name + ", " + what, err
	}},
}

func needsOwnClock(c *campaign) string {
	if !c.setClock {
		return "sets the machine's clock, which is done in a virtual machine only (make faults-vm)"
	}
	return ""
}

// takeNote has the checker see what was reported so far: it turns times of the
// wall clock into those of a clock that nobody sets, and can do so only before the
// first is set.
func (c *campaign) takeNote(ctx context.Context) error {
	_, err := c.observer.Look(ctx, false)
	return err
}

// stepClock sets the machine's clock forth or back.
func stepClock(rng *rand.Rand) (string, error) {
	step := clockSteps[rng.IntN(len(clockSteps))]
	now := unix.NsecToTimespec(time.Now().Add(step).UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &now); err != nil {
		return "", fmt.Errorf("set the clock: %w", err)
	}
	return fmt.Sprintf("by %s", step), nil
}
