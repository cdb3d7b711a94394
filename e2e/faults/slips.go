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
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// A slip makes state_dir unusable for a plugin that is started, until somebody mends it.
// It costs no run anything.
type slip struct {
	name string
	do   func(context.Context, *campaign) (mend func() error, err error)
	// alive: it is done while the client is there, whose view of mounts it needs.
	alive bool
	// part: some of state_dir can be used, and whether a run can be managed is not certain.
	part bool
}

var slips = []slip{
	{name: "of a wrong mode", do: func(_ context.Context, c *campaign) (func() error, error) {
		return func() error { return os.Chmod(c.state, 0o700) }, os.Chmod(c.state, 0o755)
	}},
	{name: "of another owner", do: func(_ context.Context, c *campaign) (func() error, error) {
		return func() error { return os.Chown(c.state, 0, -1) }, os.Chown(c.state, 12345, -1)
	}},
	{name: "in another's hands", do: func(ctx context.Context, c *campaign) (func() error, error) {
		lock, err := c.lock(ctx, filepath.Join(c.state, "plugin.lock")) // when the plugin that had it is gone
		if err != nil {
			return nil, err
		}
		return lock.Close, nil
	}},
	{name: "full", part: true, do: func(_ context.Context, c *campaign) (func() error, error) { return c.fillDisk() }},
	{name: "read-only", alive: true, part: true, do: func(_ context.Context, c *campaign) (func() error, error) { return c.protectState() }},
}

var slipFaults = func() (all []fault) {
	for _, s := range slips {
		all = append(all, s.fault())
	}
	return all
}()

func (s slip) fault() fault {
	f := fault{name: "state_dir " + s.name, weight: 3, inject: unlessGivenUp(s.inject)}
	if s.alive {
		f.missing = withoutNsenter
	}
	return f
}

// inject has the client restart over the slip, and stops a job meanwhile, now and then.
func (s slip) inject(ctx context.Context, c *campaign, rng *rand.Rand) (what string, err error) {
	// Where all jobs are of one kind there is none of another.
	stops, kills, kind := rng.IntN(3) == 0 && c.options.jobs == "", rng.IntN(2) == 0, []string{"ok", "pair", "child"}[rng.IntN(3)]
	var j *job
	if stops {
		if j, err = c.computes(ctx, kind); err != nil {
			return "", err
		}
		what = j.name + " stopped meanwhile, "
	}
	what += map[bool]string{true: "agent and plugin killed", false: "agent restarted"}[kills]
	before, err := c.always(ctx)
	if err != nil {
		return what, err
	}
	began := time.Now()
	c.slipped = true
	defer func() { c.slipped = false }()
	mend, err := s.over(ctx, c, kills)
	if err != nil {
		return what, err
	}
	// Nomad reaches them although they are not managed.
	err = c.recovered(ctx)
	if err == nil && !s.part {
		err = c.unmanaged(ctx, before, began)
	}
	if err == nil && stops {
		err = lostIfLate(check.DumpTaken, c.ends(ctx, j))
	}
	err = errors.Join(err, mend())
	c.slipped = false
	if err == nil && stops {
		err = c.hearsOf(ctx, j, check.DumpTaken, began, "Stopping with sw1, dump d3dump", " written")
	}
	if err := errors.Join(err, c.recovered(ctx)); err != nil {
		return what, err
	}
	return what, c.managed(ctx, before, began)
}

// over starts the client anew, with the slip in place.
func (s slip) over(ctx context.Context, c *campaign, kills bool) (mend func() error, err error) {
	if s.alive {
		if mend, err = s.do(ctx, c); err != nil {
			return nil, err
		}
	}
	if kills {
		err = c.killBoth()
	} else {
		err = c.timed(ctx, c.client.Stop)
	}
	if err == nil && !s.alive {
		mend, err = s.do(ctx, c)
	}
	if err = errors.Join(err, c.startClient(ctx)); err != nil && mend != nil {
		return nil, errors.Join(err, mend())
	}
	return mend, err
}

// unmanaged waits until every run that lived before and still does has told that it is
// not managed: else the slip is none.
func (c *campaign) unmanaged(ctx context.Context, before *check.World, since time.Time) error {
	for _, a := range before.Allocs {
		solvers := before.Solvers(a.ID)
		if len(solvers) != 1 || a.Desired != "run" {
			continue
		}
		err := c.awaits(ctx, a.ID, check.ToldTrue, a.Job+" to tell that it is not managed", func(alloc *api.Allocation) (bool, string) {
			told := len(eventsSince(alloc, since, "not managed yet")) > 0
			return told || over(alloc) || !lives(solvers[0]), cluster.DescribeAlloc(alloc)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// over tells whether nothing more is to be run of an allocation.
func over(alloc *api.Allocation) bool {
	ended, _ := cluster.Terminal(alloc)
	return ended || alloc.DesiredStatus != api.AllocDesiredStatusRun || slices.ContainsFunc(cluster.Events(alloc, "lsdyna"), check.IsGivenUp)
}

// managed waits until every run that lived before and still does is managed again, where
// an event has told that it was not.
func (c *campaign) managed(ctx context.Context, before *check.World, since time.Time) error {
	for _, a := range before.Allocs {
		solvers := before.Solvers(a.ID)
		if len(solvers) != 1 || a.Desired != "run" {
			continue
		}
		restarts := a.Restarts
		err := c.awaits(ctx, a.ID, check.Managed, a.Job+" to be managed again", func(alloc *api.Allocation) (bool, string) {
			seen := cluster.DescribeAlloc(alloc)
			if state := alloc.TaskStates["lsdyna"]; state != nil {
				restarts = state.Restarts
			}
			if over(alloc) || !lives(solvers[0]) {
				return true, seen
			}
			told := eventsSince(alloc, since, " managed ") // "not managed yet", "managed again"
			return len(told) == 0 || strings.HasSuffix(told[len(told)-1], "The run is managed again"), seen
		})
		if err != nil {
			return err
		}
		if restarts != a.Restarts && lives(solvers[0]) && isOld(before, solvers[0], since) {
			return &lostError{[]check.Violation{{Rule: check.NoRunLost, Evidence: fmt.Sprintf("%s was restarted %d times and is now at %d, and its solver lives", a.Job, a.Restarts, restarts)}}}
		}
	}
	return nil
}

// isOld tells whether a solver was there for so long that what Nomad tells is of it.
func isOld(w *check.World, p check.Process, at time.Time) bool {
	return slices.ContainsFunc(w.Runs, func(r check.Run) bool {
		return r.Alloc == p.Alloc && r.PID == p.PID && at.Sub(r.Exec) > long
	})
}

// lives tells whether a process is still there.
func lives(p check.Process) bool {
	now, err := proc.Read(p.PID)
	return err == nil && now.StartTicks == p.Start && now.Alive()
}
