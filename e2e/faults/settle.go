// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
)

// A lostError is what the checker found.
type lostError struct{ violations []check.Violation }

func (e *lostError) Error() string {
	words := make([]string, 0, len(e.violations))
	for _, v := range e.violations {
		words = append(words, v.String())
	}
	return "LOST\n  " + strings.Join(words, "\n  ")
}

// settle looks until the world is as it should be, and remembers it. What must
// never be ends the campaign at once; the rest when the deadline has passed. fresh
// are jobs started since it had last settled.
func (c *campaign) settle(ctx context.Context, fresh []*job) (seen string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	var pending []check.Violation
	began, late := time.Now(), ""
	for pause := 50 * time.Millisecond; ; pause = min(pause*3/2, 500*time.Millisecond) {
		w, err := c.observer.Look(ctx, false)
		var found []check.Violation
		if err == nil {
			found, err = c.judge(ctx, w, fresh)
		}
		var lost *lostError
		switch {
		case errors.As(err, &lost):
			return "", err
		case err == nil && len(found) == 0:
			return c.describe() + late, nil
		case err == nil:
			pending = found
		case ctx.Err() == nil || pending == nil: // else the deadline cut the look off
			pending = []check.Violation{{Rule: "look", Evidence: err.Error()}}
		}
		if time.Since(began) > long && late == "" && len(pending) > 0 {
			late = fmt.Sprintf(" · waited for %q", pending[0])
		}
		select {
		case <-ctx.Done():
			return "", errors.Join(fmt.Errorf("not settled within %s", c.patience), &lostError{pending})
		case <-time.After(pause):
		}
	}
}

// long is how long settling takes before the report tells what it waited for.
const long = 5 * time.Second

// judge applies the rules, the dear ones only when the cheap ones hold.
func (c *campaign) judge(ctx context.Context, w *check.World, fresh []*job) ([]check.Violation, error) {
	if never := check.Always(w); len(never) > 0 {
		return nil, &lostError{never}
	}
	if pending := check.Settled(w); len(pending) > 0 {
		return pending, nil
	}
	looked := time.Now()
	w, err := c.observer.Look(ctx, true)
	if err != nil {
		return nil, err
	}
	if never := check.Always(w); len(never) > 0 {
		return nil, &lostError{never}
	}
	if pending := check.Settled(w); len(pending) > 0 {
		return pending, nil
	}
	if pending := append(c.placed(w, fresh), check.Unpinned(w, c.asked())...); len(pending) > 0 {
		return pending, nil
	}
	if c.world != nil {
		lost := slices.Concat(check.Leaked(c.world, w, c.asked()), check.Kept(c.world, w, c.tampered))
		if len(lost) > 0 {
			return nil, &lostError{lost}
		}
	}
	c.world, c.observer.Calm = w, looked
	return nil, nil
}

// tampered tells whether this step changed the records of a solver.
func (c *campaign) tampered(p check.Process) bool { return c.touched[fmt.Sprint(p.Alloc, " ", p.PID)] }

// asked is how many cores each job wants of the driver.
func (c *campaign) asked() map[string]int {
	asked := map[string]int{}
	for _, j := range c.jobs {
		asked[j.name] = j.kind.NCPU
	}
	return asked
}

// placed: Nomad has seen every job that was submitted. One that is over may be collected.
func (c *campaign) placed(w *check.World, fresh []*job) (pending []check.Violation) {
	for _, j := range fresh {
		if !j.over && !slices.ContainsFunc(w.Allocs, func(a check.Alloc) bool { return a.Job == j.name }) {
			pending = append(pending, check.Violation{Rule: "job placed", Evidence: j.name})
		}
	}
	return pending
}

// describe tells the settled world in a few words.
func (c *campaign) describe() string {
	var live []string
	for _, j := range c.jobs {
		for _, a := range c.world.Allocs {
			if a.Job != j.name {
				continue
			}
			j.alloc = a.ID
			for _, p := range c.world.Solvers(a.ID) {
				if r := c.world.RecordOf(p); r != nil {
					live = append(live, fmt.Sprintf("%s on %v", j.name, r.Cores))
				}
			}
			j.over = a.Over()
		}
	}
	return fmt.Sprintf("%d live: %s", len(live), strings.Join(live, ", "))
}

// keptFolders is how many run folders of jobs that are over stay: a client that is
// restarted has the driver read the outputs of such a task once more, and Nomad
// takes it for running until it knows them.
const keptFolders = 50

// collect forgets jobs that are over, and takes the oldest of their folders away.
func (c *campaign) collect(n int) error {
	var errs []error
	c.jobs = slices.DeleteFunc(c.jobs, func(j *job) bool {
		if !j.over {
			return false
		}
		_, _, err := c.server.API.Jobs().Deregister(j.name, true, nil)
		errs = append(errs, err)
		c.left = append(c.left, j.disk)
		return true
	})
	for len(c.left) > keptFolders {
		errs = append(errs, os.RemoveAll(c.left[0]))
		c.left = c.left[1:]
	}
	const often = 20
	if n%often == 0 {
		errs = append(errs, c.server.API.System().GarbageCollect())
	}
	return errors.Join(errs...)
}
