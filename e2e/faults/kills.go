// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

var killFaults = []fault{
	{name: "kill plugin", weight: 10, inject: func(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
		dead, err := c.killPlugin(ctx)
		return fmt.Sprintf("plugin %d", dead), errors.Join(err, c.recovered(ctx))
	}},
	{name: "kill client", weight: 5, inject: func(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
		return "agent", c.downed(ctx, c.client.Kill, nil)
	}},
	{name: "kill both", weight: 5, inject: func(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
		return "agent and plugin", c.downed(ctx, c.killBoth, nil)
	}},
	{name: "restart client", weight: 4, inject: func(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
		return "agent", c.downed(ctx, func() error { return c.timed(ctx, c.client.Stop) }, nil)
	}},
	{name: "kill supervisor", weight: 6, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		return c.killOne(rng, check.Supervisor, syscall.SIGKILL)
	}},
	{name: "kill solver", weight: 6, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		signals := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGSEGV, syscall.SIGBUS}
		return c.killOne(rng, check.Solver, signals[rng.IntN(len(signals))])
	}},
	{name: "kill helper", weight: 3, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		return c.killOne(rng, check.Helper, syscall.SIGKILL)
	}},
	{name: "solver ends unseen", weight: 6, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (what string, err error) {
		return what, c.downed(ctx, c.killBoth, func() (err error) {
			what, err = c.killOne(rng, check.Solver, syscall.SIGKILL)
			return err
		})
	}},
	{name: "supervisor ends unseen", weight: 3, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (what string, err error) {
		return what, c.downed(ctx, c.killBoth, func() (err error) {
			what, err = c.killOne(rng, check.Supervisor, syscall.SIGKILL)
			return err
		})
	}},
	{name: "both end unseen", weight: 3, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (what string, err error) {
		return what, c.downed(ctx, c.killBoth, func() (err error) {
			what, err = c.killFamily(rng)
			return err
		})
	}},
	{name: "freeze plugin", weight: 2, inject: freezePlugin},
}

// timed gives one step of the harness its time.
func (c *campaign) timed(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	return step(ctx)
}

// plugins returns the live plugin processes.
func (c *campaign) plugins() ([]proc.Process, error) { return c.client.Plugins() }

// livePlugin waits for a plugin process that is none of the dead.
func (c *campaign) livePlugin(ctx context.Context, dead int) (p proc.Process, err error) {
	err = c.timed(ctx, func(ctx context.Context) error {
		return cluster.Poll(ctx, "a plugin process", func() (bool, string, error) {
			all, err := c.plugins()
			i := slices.IndexFunc(all, func(p proc.Process) bool { return p.PID != dead })
			if i >= 0 {
				p = all[i]
			}
			return i >= 0, fmt.Sprint(all), err
		})
	})
	return p, err
}

// killPlugin kills every plugin process and waits for the next.
func (c *campaign) killPlugin(ctx context.Context) (dead int, err error) {
	p, err := c.livePlugin(ctx, 0)
	if err != nil {
		return 0, err
	}
	if err := c.killPlugins(); err != nil {
		return p.PID, err
	}
	_, err = c.livePlugin(ctx, p.PID)
	return p.PID, err
}

func (c *campaign) killPlugins() error {
	all, err := c.plugins()
	for _, p := range all {
		err = errors.Join(err, cluster.Signal(p, syscall.SIGKILL))
	}
	return err
}

// killBoth kills the client and then the plugin, so that nobody starts another.
func (c *campaign) killBoth() error { return errors.Join(c.client.Kill(), c.killPlugins()) }

// startClient starts the client again.
func (c *campaign) startClient(ctx context.Context) error {
	err := c.timed(ctx, c.client.Start)
	c.observer.Up = time.Now()
	return err
}

// downed ends the client, does something while it is down, starts it again and
// waits until its tasks are reached.
func (c *campaign) downed(ctx context.Context, end, meanwhile func() error) error {
	if err := end(); err != nil {
		return err
	}
	var did error
	if meanwhile != nil {
		did = meanwhile()
	}
	if err := c.startClient(ctx); err != nil {
		return errors.Join(did, err)
	}
	return errors.Join(did, c.recovered(ctx))
}

// recovered waits until Nomad reaches every running task through the driver.
func (c *campaign) recovered(ctx context.Context) error {
	return c.timed(ctx, func(ctx context.Context) error {
		reached := map[string]bool{}
		began, told := time.Now(), false
		return cluster.Poll(ctx, "alloc exec in every running task", func() (bool, string, error) {
			w, err := c.observer.Look(ctx, false)
			if err != nil {
				return false, err.Error(), nil
			}
			if lost := check.Always(w); len(lost) > 0 {
				return false, "", &lostError{lost}
			}
			for _, a := range w.Allocs {
				if a.Status != "running" || a.State != "running" || a.Desired != "run" || reached[a.ID] || c.cannotReach(w, a) {
					continue
				}
				if err := c.exec(ctx, a.ID, "/bin/true"); err != nil {
					if time.Since(began) > long && !told {
						told = true
						fmt.Printf("(cannot reach %s: %v) ", a.Job, err)
					}
					return false, a.Job + ": " + err.Error(), nil
				}
				reached[a.ID] = true
			}
			return true, "", nil
		})
	})
}

// cannotReach tells whether nobody can execute a command in a task: in a folder that
// hangs it hangs, too, and in none it is not begun. How a solver ended is told only when
// state_dir can be used.
func (c *campaign) cannotReach(w *check.World, a check.Alloc) bool {
	return c.hangs && c.isServed(a.Job) || c.removed[a.Job] || c.slipped && len(w.Solvers(a.ID)) == 0
}

// exec runs a command in a task.
func (c *campaign) exec(ctx context.Context, id string, command ...string) error {
	const patience = 15 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	alloc, _, err := c.server.API.Allocations().Info(id, nil)
	if err != nil {
		return err
	}
	code, err := c.client.Local.Allocations().Exec(ctx, alloc, "lsdyna", false, command,
		strings.NewReader(""), io.Discard, io.Discard, nil, nil)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d", code)
	}
	return err
}

// victims returns the live processes of a role, in the order of their jobs.
func (c *campaign) victims(role check.Role) ([]check.Process, error) {
	w := &check.World{}
	all, err := proc.All()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		env, _ := proc.Environ(p.PID)
		if r, alloc := c.observer.Site.Classify(p, env); r == role && p.Alive() {
			w.Processes = append(w.Processes, check.Process{PID: p.PID, Parent: p.PPID, Start: p.StartTicks, Role: r, Alloc: alloc})
		}
	}
	slices.SortFunc(w.Processes, func(a, b check.Process) int { return strings.Compare(c.jobOf(a.Alloc), c.jobOf(b.Alloc)) })
	return w.Processes, nil
}

func (c *campaign) jobOf(alloc string) string {
	for _, j := range c.jobs {
		if j.alloc == alloc {
			return j.name
		}
	}
	return alloc
}

// killOne signals one process of a role, and says whose.
func (c *campaign) killOne(rng *rand.Rand, role check.Role, sig syscall.Signal) (string, error) {
	n := rng.IntN(1 << 20)
	all, err := c.victims(role)
	if err != nil || len(all) == 0 {
		return fmt.Sprintf("no %s", role), err
	}
	p := all[n%len(all)]
	if role != check.Supervisor {
		c.kills(p)
	}
	err = cluster.Signal(proc.Process{PID: p.PID, StartTicks: p.Start}, sig)
	return fmt.Sprintf("%s to %s %d of %s", sig, role, p.PID, c.jobOf(p.Alloc)), err
}

// kills takes note of the solvers that end with a process: itself, or the mpirun
// above a rank.
func (c *campaign) kills(p check.Process) {
	for _, pid := range []int{p.PID, p.Parent} {
		c.killed[fmt.Sprint(p.Alloc, " ", pid)] = true
	}
}

// killFamily kills a supervisor and its solver, in either order.
func (c *campaign) killFamily(rng *rand.Rand) (string, error) {
	n, solverFirst := rng.IntN(1<<20), rng.IntN(2) == 0
	all, err := c.victims(check.Solver)
	if err != nil || len(all) == 0 {
		return "no solver", err
	}
	p := all[n%len(all)]
	parent, err := proc.Read(p.Parent)
	if err != nil {
		return "no supervisor", nil //nolint:nilerr // it has ended: there is nothing to kill
	}
	c.kills(p)
	family := []proc.Process{parent, {PID: p.PID, StartTicks: p.Start}}
	if solverFirst {
		slices.Reverse(family)
	}
	var errs []error
	for _, member := range family {
		if member.PID > 1 {
			errs = append(errs, cluster.Signal(member, syscall.SIGKILL))
		}
	}
	return fmt.Sprintf("solver %d and supervisor %d of %s, solver first: %t", p.PID, parent.PID, c.jobOf(p.Alloc), solverFirst), errors.Join(errs...)
}

// freezePlugin stops the plugin for a while, kills a solver meanwhile, and lets
// the plugin go on.
func freezePlugin(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
	p, err := c.livePlugin(ctx, 0)
	if err != nil {
		return "", err
	}
	if err := cluster.Signal(p, syscall.SIGSTOP); err != nil {
		return "", err
	}
	what, err := c.killOne(rng, check.Solver, syscall.SIGKILL)
	return what, errors.Join(err, cluster.Signal(p, syscall.SIGCONT))
}
