// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// A recovery is how long it took, in seconds, to find every task again.
type recovery struct {
	driver []float64 // spent on the driver alone
	whole  []float64 // from the start of the client's process to the last running task
}

// recoverTasks runs tasks of one driver, and then in turn kills the client together
// with the plugin, starts it again, and measures. No task of the other driver runs
// meanwhile.
func recoverTasks(ctx context.Context, bin string, d driver, p plan, say func(string, ...any)) (r recovery, err error) {
	s, err := newSite(ctx, bin)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return r, err
	}
	if _, err := s.run(ctx, d, jobName(d), p.tasks); err != nil {
		return r, fmt.Errorf("start %d tasks of %s: %w", p.tasks, d, err)
	}
	before, err := s.waitStamps(ctx, p.tasks)
	if err != nil {
		return r, err
	}
	say("%d tasks of %s run", p.tasks, d)
	for i := range p.recoveries {
		spent, err := s.recoverOnce(ctx, d, p.tasks, &r)
		if err == nil {
			err = s.sameSolvers(before, p.tasks)
		}
		if err != nil {
			return r, fmt.Errorf("recover %d tasks of %s: %w", p.tasks, d, err)
		}
		say("recovered, %d of %d times: configuration %s, RecoverTask %s", i+1, p.recoveries,
			spent.configuration.Round(100*time.Microsecond), spent.calls.Round(100*time.Microsecond))
	}
	return r, nil
}

func jobName(d driver) string { return "recover-" + string(d) }

func (s *site) recoverOnce(ctx context.Context, d driver, n int, r *recovery) (spent driverTime, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	if err := s.killClientAndPlugin(ctx); err != nil {
		return spent, err
	}
	tail, err := followLog(s.client.LogPath())
	if err != nil {
		return spent, err
	}
	defer tail.close()
	began := time.Now()
	if err := s.client.Start(ctx); err != nil {
		return spent, err
	}
	lines, err := s.waitRunning(ctx, tail, jobName(d), n)
	if err != nil {
		return spent, err
	}
	if spent, err = timeOfDriver(lines, d, n); err != nil {
		return spent, err
	}
	r.driver = append(r.driver, spent.sum().Seconds())
	r.whole = append(r.whole, latest(perAlloc(lines, poststartDone)).Sub(began).Seconds())
	return spent, nil
}

// driverTime is what the client spent on a driver until it had recovered all its
// tasks.
type driverTime struct {
	configuration time.Duration // of a plugin: ours looks for live solvers then
	calls         time.Duration // of RecoverTask, one after the other
}

func (t driverTime) sum() time.Duration { return t.configuration + t.calls }

// timeOfDriver reads it from the client's log, for n tasks.
func timeOfDriver(lines []logLine, d driver, n int) (spent driverTime, err error) {
	if d == ours {
		connected, err := first(lines, pluginUsed, d)
		if err != nil {
			return spent, err
		}
		ready, err := first(lines, fingerprinted, d)
		if err != nil {
			return spent, err
		}
		spent.configuration = ready.Sub(connected)
	}
	called, returned := perAlloc(lines, taskEvent), perAlloc(lines, wranglerSetUp)
	for alloc, t := range called {
		end, ok := returned[alloc]
		if !ok {
			return spent, fmt.Errorf("the agent's log does not say when allocation %s was recovered", alloc)
		}
		spent.calls += end.Sub(t)
	}
	if len(called) != n {
		return spent, fmt.Errorf("the agent's log tells of %d recovered tasks, not %d", len(called), n)
	}
	return spent, nil
}

// killClientAndPlugin kills both with SIGKILL and waits for their ends.
func (s *site) killClientAndPlugin(ctx context.Context) error {
	plugins, err := s.client.Plugins()
	if err != nil {
		return err
	}
	errs := []error{s.client.Kill()}
	for _, p := range plugins {
		errs = append(errs, cluster.Signal(p, syscall.SIGKILL))
	}
	for _, p := range plugins {
		errs = append(errs, cluster.WaitGone(ctx, p))
	}
	return errors.Join(errs...)
}

// sameSolvers checks that the tasks have the solvers that they had before, alive.
func (s *site) sameSolvers(before map[string]stamp, n int) error {
	now, err := readStamps(s.stamps)
	if err != nil {
		return err
	}
	if len(now) != n {
		return fmt.Errorf("%d solvers instead of %d", len(now), n)
	}
	for alloc, was := range before {
		if now[alloc] != was {
			return fmt.Errorf("allocation %s: %w", alloc, errNotTheSame)
		}
		p, err := proc.Read(was.pid)
		if err != nil || !p.Alive() || p.Exe != s.solver {
			return fmt.Errorf("allocation %s: the solver (pid %d) has ended", alloc, was.pid)
		}
	}
	return nil
}

var errNotTheSame = errors.New("it has another solver than before")
