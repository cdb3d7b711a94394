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

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/tamper"
)

// Records are spoiled while the driver is away: then it has nothing but them to
// go by.
var recordFaults = []fault{
	spoilt("pid file truncated", 3, func(c *campaign, t target, rng *rand.Rand) error {
		data, err := os.ReadFile(t.path("pid"))
		if err != nil {
			return err
		}
		return os.WriteFile(t.path("pid"), data[:rng.IntN(len(data))], 0o600)
	}),
	spoilt("pid file garbled", 2, func(c *campaign, t target, rng *rand.Rand) error {
		garbage := make([]byte, 200)
		for i := range garbage {
			garbage[i] = byte(rng.IntN(256))
		}
		return os.WriteFile(t.path("pid"), garbage, 0o600)
	}),
	spoilt("pid file gone", 2, func(c *campaign, t target, _ *rand.Rand) error { return os.Remove(t.path("pid")) }),
	spoilt("pid file of another boot", 2, func(c *campaign, t target, _ *rand.Rand) error {
		return tamper.EditPID(t.path("pid"), func(line map[string]any) { line["boot_id"] = "6d0f1b3e-0000-4000-8000-0123456789ab" })
	}),
	spoilt("innocent pid", 3, func(c *campaign, t target, rng *rand.Rand) error {
		return tamper.ForgePID(t.path("pid"), c.innocents[rng.IntN(len(c.innocents))].Process.Pid, false)
	}),
	spoilt("innocent process", 3, func(c *campaign, t target, rng *rand.Rand) error {
		return tamper.ForgePID(t.path("pid"), c.innocents[rng.IntN(len(c.innocents))].Process.Pid, true)
	}),
	spoilt("innocent pid, then stop", 2, func(c *campaign, t target, rng *rand.Rand) error {
		for _, j := range c.jobs {
			if j.alloc == t.process.Alloc {
				return errors.Join(tamper.ForgePID(t.path("pid"), c.innocents[rng.IntN(len(c.innocents))].Process.Pid, rng.IntN(2) == 0), c.stop(j))
			}
		}
		return nil
	}),
	spoilt("pid files swapped", 3, func(c *campaign, t target, rng *rand.Rand) error {
		all, err := c.targets()
		others := slices.DeleteFunc(all, func(o target) bool { return o.dir == t.dir })
		if err != nil || len(others) == 0 {
			return err
		}
		other := others[rng.IntN(len(others))]
		c.touch(other)
		tmp := t.path("pid.swap")
		return errors.Join(os.Rename(t.path("pid"), tmp), os.Rename(other.path("pid"), t.path("pid")), os.Rename(tmp, other.path("pid")))
	}),
	spoilt("record duplicated", 2, func(c *campaign, t target, rng *rand.Rand) error {
		copied := filepath.Join(c.state, "tasks", "00000000-0000-4000-8000-000000000000", "lsdyna", fmt.Sprintf("%08x", rng.Uint32()))
		if err := os.CopyFS(copied, os.DirFS(t.dir)); err != nil {
			return err
		}
		return os.Chmod(copied, 0o700)
	}),
	spoilt("task.json truncated", 2, func(c *campaign, t target, _ *rand.Rand) error { return os.Truncate(t.path("task.json"), 40) }),
	spoilt("spec.json truncated", 2, func(c *campaign, t target, _ *rand.Rand) error { return os.Truncate(t.path("spec.json"), 40) }),
	spoilt("record gone", 2, func(c *campaign, t target, _ *rand.Rand) error {
		c.spoil(t)
		return os.RemoveAll(t.dir)
	}),
	spoilt("exit record of another", 2, func(c *campaign, t target, rng *rand.Rand) error {
		exit := fmt.Sprintf(`{"version":1,"task_id":%q,"pid":%d,"start_time":%d,"boot_id":%q,"code":0,"rusage":{},"finished_at":"2026-01-01T00:00:00Z"}`,
			t.id(), c.innocents[0].Process.Pid, rng.IntN(1<<20), c.world.Boot)
		return os.WriteFile(t.path("exit.json"), []byte(exit), 0o600)
	}),
}

// A target is the record of a live solver.
type target struct {
	process check.Process
	dir     string
	cores   []int // by the pid file
}

func (t target) path(name string) string { return filepath.Join(t.dir, name) }

// id is Nomad's task ID.
func (t target) id() string {
	parts := strings.Split(t.dir, "/")
	return strings.Join(parts[len(parts)-3:], "/")
}

// targets returns the records of live solvers, in the order of their jobs.
func (c *campaign) targets() (found []target, err error) {
	solvers, err := c.victims(check.Solver)
	if err != nil {
		return nil, err
	}
	records, err := check.Records(c.state)
	if err != nil {
		return nil, err
	}
	for _, p := range solvers {
		for _, r := range records {
			if r.Alloc == p.Alloc && r.PID == p.PID && r.Start == p.Start {
				found = append(found, target{p, filepath.Join(c.state, "tasks", r.Alloc, r.Task, r.Invocation), r.Cores})
			}
		}
	}
	return found, nil
}

// touch takes note that this solver's records are not what the driver wrote: its
// cores may be restored from what was true at its start.
func (c *campaign) touch(t target) { c.touched[fmt.Sprint(t.process.Alloc, " ", t.process.PID)] = true }

// spoil takes note that this run's end may be unknown from here on: the exit record
// has no place to be. Nothing else that is done to a record may cost that.
func (c *campaign) spoil(t target) { c.spoiled[fmt.Sprint(t.process.Alloc, " ", t.process.PID)] = true }

// spoilt is a fault that spoils a record of a live solver while agent and plugin
// are down.
func spoilt(name string, weight int, how func(*campaign, target, *rand.Rand) error) fault {
	return fault{name: name, weight: weight, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (what string, err error) {
		n := rng.IntN(1 << 20)
		what = "no record"
		err = c.downed(ctx, c.killBoth, func() error {
			targets, err := c.targets()
			if err != nil || len(targets) == 0 {
				return err
			}
			t := targets[n%len(targets)]
			what = fmt.Sprintf("solver %d of %s", t.process.PID, c.jobOf(t.process.Alloc))
			c.touch(t)
			return how(c, t, rng)
		})
		return what, err
	}}
}
