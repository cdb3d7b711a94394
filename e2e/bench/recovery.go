// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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

// recoverAll runs n tasks of each driver on a client of their own, and then in
// turn kills each client together with the plugin, starts it again, and measures.
func recoverAll(ctx context.Context, bin string, p plan, say func(string, ...any)) (all map[driver]recovery, err error) {
	all = map[driver]recovery{}
	sites := map[driver]*site{}
	before := map[driver]map[string]stamp{}
	for _, d := range drivers {
		s, err := newSite(ctx, bin)
		defer func() { err = errors.Join(err, s.close()) }()
		if err != nil {
			return nil, err
		}
		if _, err := s.run(ctx, d, jobName(d), p.tasks); err != nil {
			return nil, fmt.Errorf("start %d tasks of %s: %w", p.tasks, d, err)
		}
		if before[d], err = readStamps(s.stamps); err != nil {
			return nil, err
		}
		say("%d tasks of %s run", p.tasks, d)
		sites[d] = s
	}
	for i := range p.recoveries {
		for _, d := range drivers {
			r := all[d]
			err := sites[d].recoverOnce(ctx, d, p.tasks, &r)
			if err == nil {
				err = sites[d].sameSolvers(before[d], p.tasks)
			}
			if err != nil {
				return nil, fmt.Errorf("recover %d tasks of %s: %w", p.tasks, d, err)
			}
			all[d] = r
		}
		say("%d of %d recoveries", i+1, p.recoveries)
	}
	return all, nil
}

func jobName(d driver) string { return "recover-" + string(d) }

func (s *site) recoverOnce(ctx context.Context, d driver, n int, r *recovery) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	if err := s.killClientAndPlugin(ctx); err != nil {
		return err
	}
	tail, err := followLog(s.client.LogPath())
	if err != nil {
		return err
	}
	defer tail.close()
	began := time.Now()
	if err := s.client.Start(ctx); err != nil {
		return err
	}
	lines, err := s.waitRunning(ctx, tail, jobName(d), n)
	if err != nil {
		return err
	}
	spent, err := driverTime(lines, d, n)
	if err != nil {
		return err
	}
	r.driver = append(r.driver, spent.Seconds())
	r.whole = append(r.whole, latest(perAlloc(lines, poststartDone)).Sub(began).Seconds())
	return nil
}

// driverTime adds up what the client spent on the driver until it had recovered
// all n tasks: every RecoverTask, one after the other, and for a plugin first its
// configuration, in which ours already looks for live solvers.
func driverTime(lines []logLine, d driver, n int) (time.Duration, error) {
	var sum time.Duration
	if d == ours {
		connected, err := first(lines, pluginUsed, d)
		if err != nil {
			return 0, err
		}
		ready, err := first(lines, fingerprinted, d)
		if err != nil {
			return 0, err
		}
		sum = ready.Sub(connected)
	}
	adopt := sum
	called, returned := perAlloc(lines, taskEvent), perAlloc(lines, wranglerSetUp)
	for alloc, t := range called {
		end, ok := returned[alloc]
		if !ok {
			return 0, fmt.Errorf("the agent's log does not say when allocation %s was recovered", alloc)
		}
		sum += end.Sub(t)
	}
	fmt.Fprintf(os.Stderr, "DEBUG %s adopt %v calls %v\n", d, adopt, sum-adopt)
	if len(called) != n {
		return 0, fmt.Errorf("the agent's log tells of %d recovered tasks, not %d", len(called), n)
	}
	return sum, nil
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
