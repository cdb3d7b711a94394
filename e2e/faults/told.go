// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// What happens to a run is told as that.
var toldFaults = []fault{
	{name: "run folder removed", weight: 4, inject: unlessGivenUp(folderRemoved)},
	{name: "signals in a row", weight: 3, inject: unlessGivenUp(signalsInARow)},
	{name: "service completes", weight: 3, inject: unlessGivenUp(serviceCompletes)},
}

// folderRemoved removes a run's folder under its solver.
func folderRemoved(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
	kills := rng.IntN(2) == 0
	j, err := c.computes(ctx, "ok")
	if err != nil {
		return "", err
	}
	what, since := j.folder, time.Now()
	c.removed[j.name] = true
	remove := func() error {
		return c.timed(ctx, func(ctx context.Context) error {
			return cluster.Poll(ctx, "the removal of "+j.folder, func() (bool, string, error) {
				err := os.RemoveAll(j.folder) // the solver may write meanwhile
				return err == nil, fmt.Sprint(err), nil
			})
		})
	}
	if kills {
		what += ", agent and plugin killed"
		err = c.downed(ctx, c.killBoth, remove)
	} else {
		err = remove()
	}
	if err != nil {
		return what, err
	}
	if err := c.hearsOf(ctx, j, check.ToldTrue, since, "The run folder "+j.folder+" was removed under its solver"); err != nil {
		return what, err
	}
	if err := c.ends(ctx, j); err != nil {
		return what, err
	}
	return what, c.hearsOf(ctx, j, check.ToldTrue, since, "nknown: the run folder "+j.folder+" was removed under its solver")
}

// signalsInARow sends signals that are sense switches: each is one event.
func signalsInARow(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
	j, err := c.computes(ctx, "ok")
	if err != nil {
		return "", err
	}
	const most = 4 // with Nomad's own as many events as it keeps of a task, nearly
	what, began, dumps := j.name, time.Now(), 0
	names := make([]string, 2+rng.IntN(most-1))
	for i := range names {
		var effect string
		if rng.IntN(2) == 0 {
			dumps++
			names[i], effect = "SIGUSR1", fmt.Sprintf("Switch sw3, dump d3dump%02d written", dumps)
		} else {
			names[i], effect = "SIGUSR2", "Switch sw4: plot state written"
		}
		since := time.Now()
		if err := c.signals(ctx, j, names[i]); err != nil {
			return what, err
		}
		if err := c.hearsOf(ctx, j, check.ToldTrue, since, effect); err != nil {
			return what, err
		}
	}
	what += fmt.Sprintf(", %q", names)
	alloc, _, err := c.server.API.Allocations().Info(j.alloc, nil)
	if err != nil {
		return what, err
	}
	told := eventsSince(alloc, began, "Driver: ", "witch sw")
	if len(told) != len(names) {
		return what, &lostError{[]check.Violation{{Rule: check.ToldTrue, Evidence: fmt.Sprintf("%d signals to %s made %d events: %q", len(names), j.name, len(told), told)}}}
	}
	return what, c.ends(ctx, j)
}

// serviceCompletes has a service job complete: Nomad starts its task again, and again.
func serviceCompletes(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
	j, err := c.startKind(ctx, "service", besideServer)
	if err != nil {
		return "", err
	}
	err = c.awaits(ctx, j.alloc, check.ResultsStay, "the end of "+j.name, func(alloc *api.Allocation) (bool, string) {
		over, _ := cluster.Terminal(alloc)
		return over, cluster.DescribeAlloc(alloc)
	})
	if err != nil {
		return j.name, err
	}
	return j.name, c.hearsOf(ctx, j, check.ResultsStay, time.Time{}, "This allocation has completed its run already, at ")
}
