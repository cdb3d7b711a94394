// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// always returns what must not be at any moment.
func (c *campaign) always(ctx context.Context) (*check.World, error) {
	w, err := c.observer.Look(ctx, false)
	if err != nil {
		return nil, err
	}
	if lost := check.Always(w); len(lost) > 0 {
		return w, &lostError{lost}
	}
	return w, nil
}

// lostIfLate makes what did not come in time the breach of a rule.
func lostIfLate(rule string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &lostError{[]check.Violation{{Rule: rule, Evidence: err.Error()}}}
	}
	return err
}

// awaits waits for something to be true of an allocation. What does not come in time
// breaks the rule; and what holds always must hold meanwhile.
func (c *campaign) awaits(ctx context.Context, id, rule, what string, holds cluster.Condition) error {
	return lostIfLate(rule, c.timed(ctx, func(ctx context.Context) error {
		return cluster.Poll(ctx, what, func() (bool, string, error) {
			var lost *lostError
			if _, err := c.always(ctx); errors.As(err, &lost) {
				return false, "", err
			} else if err != nil {
				return false, err.Error(), nil
			}
			alloc, _, err := c.server.API.Allocations().Info(id, nil)
			if err != nil {
				return false, err.Error(), nil
			}
			done, seen := holds(alloc)
			return done, seen, nil
		})
	}))
}

// errGivenUp says that Nomad gave a job up by itself: of its run nothing can be asked.
var errGivenUp = errors.New("given up by Nomad")

// unlessGivenUp has a fault be over where Nomad gave its job up.
func unlessGivenUp(inject func(context.Context, *campaign, *rand.Rand) (string, error)) func(context.Context, *campaign, *rand.Rand) (string, error) {
	return func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		what, err := inject(ctx, c, rng)
		var lost *lostError
		if errors.Is(err, errGivenUp) && !errors.As(err, &lost) {
			return what + ", " + errGivenUp.Error(), nil
		}
		return what, err
	}
}

// hearsOf waits until an event of the job's task, newer than since, has all the texts.
// That none comes breaks the rule.
func (c *campaign) hearsOf(ctx context.Context, j *job, rule string, since time.Time, texts ...string) error {
	gone := false
	err := c.awaits(ctx, j.alloc, rule, fmt.Sprintf("an event of %s with %q", j.name, texts), func(alloc *api.Allocation) (bool, string) {
		gone = slices.ContainsFunc(cluster.Events(alloc, "lsdyna"), check.IsGivenUp)
		return gone || len(eventsSince(alloc, since, texts...)) > 0, cluster.DescribeAlloc(alloc)
	})
	if err == nil && gone {
		return errGivenUp
	}
	return err
}

// eventsSince returns the events of a task that are newer and have all the texts.
func eventsSince(alloc *api.Allocation, since time.Time, texts ...string) (found []string) {
	state := alloc.TaskStates["lsdyna"]
	if state == nil {
		return nil
	}
	for _, e := range state.Events {
		words := e.Type + ": " + e.DisplayMessage
		missing := slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(words, text) })
		if time.Unix(0, e.Time).After(since) && !missing {
			found = append(found, words)
		}
	}
	return found
}

// computes starts a job that takes minutes, and returns when its solver computes.
func (c *campaign) computes(ctx context.Context, kind string) (*job, error) {
	j, err := c.running(ctx, kind, lasting)
	if err != nil {
		return j, err
	}
	return j, c.awaits(ctx, j.alloc, check.NoneUnknown, "cycles of "+j.name, func(alloc *api.Allocation) (bool, string) {
		out, _ := os.ReadFile(filepath.Join(j.disk, "stdout"))
		return bytes.Contains(out, []byte(" dt ")), cluster.DescribeAlloc(alloc)
	})
}

// signals has Nomad send a signal to the job's task.
func (c *campaign) signals(ctx context.Context, j *job, name string) error {
	return c.timed(ctx, func(ctx context.Context) error {
		return cluster.Poll(ctx, name+" to "+j.name, func() (bool, string, error) {
			alloc, _, err := c.server.API.Allocations().Info(j.alloc, nil)
			if err == nil {
				err = c.client.Local.Allocations().Signal(alloc, nil, "lsdyna", name)
			}
			return err == nil, fmt.Sprint(err), nil
		})
	})
}

// solverOf returns the job's live solver.
func (c *campaign) solverOf(j *job) (check.Process, error) {
	all, err := c.victims(check.Solver)
	if err != nil {
		return check.Process{}, err
	}
	i := slices.IndexFunc(all, func(p check.Process) bool { return p.Alloc == j.alloc })
	if i < 0 {
		return check.Process{}, fmt.Errorf("%s has no solver", j.name)
	}
	return all[i], nil
}

// ends stops a job and waits until no process of it is left.
func (c *campaign) ends(ctx context.Context, j *job) error {
	return errors.Join(c.stop(j), c.gone(ctx, j))
}
