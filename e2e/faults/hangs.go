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
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/hangfs"
)

// Half of the jobs have their run folders on a file server that hangs now and then.
var hangFaults = []fault{
	hanging("hang folder", func(context.Context, *campaign, *rand.Rand) (string, error) { return "nothing else", nil }),
	hanging("hang folder, kill plugin", func(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
		dead, err := c.killPlugin(ctx)
		return fmt.Sprintf("plugin %d", dead), errors.Join(err, c.recovered(ctx))
	}),
	hanging("hang folder, kill both", func(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
		return "agent and plugin", c.downed(ctx, c.killBoth, nil)
	}),
	hanging("hang folder, then stop", func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		n := rng.IntN(1 << 20)
		there := c.onServer()
		if pinned, err := c.pinned(there); err != nil {
			return "", err
		} else if len(pinned) > 0 {
			there = pinned // these cores must come back
		}
		j := there[n%len(there)]
		return j.name, errors.Join(c.stop(j), c.gone(ctx, j))
	}),
	{name: "hang over a restart", weight: 4, missing: withoutServer, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		what, restart := "plugin", func() error {
			_, err := c.killPlugin(ctx)
			return errors.Join(err, c.recovered(ctx))
		}
		if rng.IntN(2) == 0 {
			what, restart = "agent and plugin", func() error { return c.downed(ctx, c.killBoth, nil) }
		}
		return "of " + what, errors.Join(c.hung(restart), c.recovered(ctx))
	}},
}

// withoutServer says why there is no file server that could hang.
func withoutServer(c *campaign) string {
	if c.served == nil {
		return hangfs.Missing()
	}
	return ""
}

// mountServed starts the file server, before the client gets its own view of
// mounts.
func (c *campaign) mountServed() (err error) {
	if hangfs.Missing() != "" {
		return nil
	}
	backing, path := filepath.Join(c.dir, "disk"), filepath.Join(c.dir, "served")
	if err := errors.Join(os.Mkdir(backing, 0o755), os.Mkdir(path, 0o755)); err != nil {
		return fmt.Errorf("file server: %w", err)
	}
	if c.served, err = hangfs.New(backing, path); err != nil {
		return err
	}
	return c.served.Skew(c.skew())
}

// skews are how far the file server's clock is ahead of the node's.
var skews = []time.Duration{0, -time.Hour, -5 * time.Second, time.Hour}

// skew is the same for as long as the campaign lasts, and another one with each seed.
func (c *campaign) skew() time.Duration { return skews[c.seed%uint64(len(skews))] }

// hung lets the file server hang while something is done that must not wait for it.
func (c *campaign) hung(meanwhile func() error) error {
	if err := c.served.Hang(); err != nil {
		return err
	}
	c.hangs = true
	err := meanwhile()
	if errors.Is(err, context.DeadlineExceeded) {
		err = &lostError{[]check.Violation{{Rule: check.OthersLive, Evidence: err.Error()}}}
	}
	c.hangs = false
	return errors.Join(err, c.served.Resume())
}

// hanging is a fault during which the file server hangs. Another task must start
// then, and all must be as it should be but for the tasks whose folders hang.
func hanging(name string, meanwhile func(context.Context, *campaign, *rand.Rand) (string, error)) fault {
	return fault{name: name, weight: 4, missing: withoutServer, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (what string, err error) {
		if err := c.serve(ctx); err != nil {
			return "", err
		}
		there := len(c.onServer())
		err = c.hung(func() error {
			if what, err = meanwhile(ctx, c, rng); err != nil {
				return err
			}
			return c.othersLive(ctx)
		})
		return fmt.Sprintf("of %d jobs, %s", there, what), err
	}}
}

// othersLive starts a task whose folder does not hang, and waits until the rules
// hold for those like it. It gets what the tasks have left that ended meanwhile.
func (c *campaign) othersLive(ctx context.Context) error {
	before, err := c.lull(ctx)
	if err != nil {
		return err
	}
	j, err := c.startKind(ctx, "ok", besideServer)
	if err != nil {
		return err
	}
	running, err := c.decided(ctx, j)
	if err != nil {
		return err
	}
	if !running {
		return c.notStarted(ctx, j)
	}
	return c.timed(ctx, func(ctx context.Context) error {
		return cluster.Poll(ctx, "the rules for other tasks", func() (bool, string, error) {
			w, err := c.observer.Look(ctx, true)
			if err != nil {
				return false, err.Error(), nil
			}
			if lost := append(check.Always(w), check.Leaked(before, w, c.asked())...); len(lost) > 0 {
				return false, "", &lostError{lost}
			}
			pending := check.Hung(w, c.isServed)
			return len(pending) == 0, fmt.Sprint(pending), nil
		})
	})
}

// notStarted says what it means that a job does not start: nothing where Nomad
// itself gave it up before it asked the driver.
func (c *campaign) notStarted(ctx context.Context, j *job) error {
	w, err := c.observer.Look(ctx, false)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(w.Allocs, func(a check.Alloc) bool { return a.ID == j.alloc })
	if at >= 0 && w.Allocs[at].GivenUp() {
		return nil
	}
	return &lostError{[]check.Violation{{Rule: check.OthersLive, Evidence: j.name + " does not start"}}}
}

// lull looks until no solver has ended or begun for a moment.
func (c *campaign) lull(ctx context.Context) (w *check.World, err error) {
	const moment = time.Second
	var since time.Time
	var free []int
	err = c.timed(ctx, func(ctx context.Context) error {
		return cluster.Poll(ctx, "a quiet moment", func() (bool, string, error) {
			if w, err = c.observer.Look(ctx, false); err != nil {
				return false, err.Error(), nil
			}
			if now := w.Free(); since.IsZero() || !slices.Equal(now, free) {
				free, since = now, time.Now()
			}
			return time.Since(since) > moment, fmt.Sprintf("cores %v are free", free), nil
		})
	})
	return w, err
}

// onServer returns the jobs whose folders are on the file server.
func (c *campaign) onServer() []*job {
	return slices.DeleteFunc(slices.Clone(c.jobs), func(j *job) bool { return !j.served || j.over })
}

// pinned returns those of the jobs whose solvers have cores.
func (c *campaign) pinned(jobs []*job) ([]*job, error) {
	live, err := c.targets()
	return slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool {
		return !slices.ContainsFunc(live, func(t target) bool { return t.process.Alloc == j.alloc && len(t.cores) > 0 })
	}), err
}

// serve sees to it that a job on the file server has cores, if need be those of
// another job.
func (c *campaign) serve(ctx context.Context) error {
	if pinned, err := c.pinned(c.onServer()); len(pinned) > 0 || err != nil {
		return err
	}
	others, err := c.pinned(c.jobs)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		if err := errors.Join(c.stop(others[0]), c.gone(ctx, others[0])); err != nil {
			return err
		}
	}
	j, err := c.startKind(ctx, c.options.jobs, onServer)
	if err == nil {
		_, err = c.decided(ctx, j)
	}
	return err
}

// isServed reports whether a job's folder is on the file server.
func (c *campaign) isServed(name string) bool {
	return slices.ContainsFunc(c.jobs, func(j *job) bool { return j.name == name && j.served })
}

// gone waits until no process of a job is left. Nomad may not know of its end
// before the folder answers.
func (c *campaign) gone(ctx context.Context, j *job) error {
	return c.timed(ctx, func(ctx context.Context) error {
		return cluster.Poll(ctx, "the end of every process of "+j.name, func() (bool, string, error) {
			w, err := c.observer.Look(ctx, false)
			if err != nil {
				return false, err.Error(), nil
			}
			left := slices.DeleteFunc(w.Processes, func(p check.Process) bool {
				return p.Alloc != j.alloc || p.Role != check.Solver && p.Role != check.Helper
			})
			return len(left) == 0, fmt.Sprint(left), nil
		})
	})
}
