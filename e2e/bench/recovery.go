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

// A recovery is how long it took, in seconds, until every task was found again.
type recovery struct {
	drivers []float64 // from healthy drivers to the last RecoverTask: what a driver has a hand in
	whole   []float64 // from the start of the client to the last running task
}

// recover runs n tasks of one driver, kills client and plugin together, starts
// the client again, and measures; so many times.
func recoverTasks(ctx context.Context, bin string, d driver, n, rounds int, say func(string, ...any)) (r recovery, err error) {
	s, err := newSite(ctx, bin)
	defer func() { err = joined(err, s.close()) }()
	if err != nil {
		return r, err
	}
	job := "recover-" + string(d)
	if _, err := s.run(ctx, d, job, n); err != nil {
		return r, fmt.Errorf("start %d tasks of %s: %w", n, d, err)
	}
	before, err := readStamps(s.stamps)
	if err != nil {
		return r, err
	}
	for range rounds {
		if err := s.recoverOnce(ctx, job, n, &r); err != nil {
			return r, fmt.Errorf("recover %d tasks of %s: %w", n, d, err)
		}
		if err := s.sameSolvers(before, n); err != nil {
			return r, fmt.Errorf("recover %d tasks of %s: %w", n, d, err)
		}
		say("%s: %d tasks recovered", d, n)
	}
	return r, nil
}

func (s *site) recoverOnce(ctx context.Context, job string, n int, r *recovery) error {
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
	lines, err := s.waitRunning(ctx, tail, job, n)
	if err != nil {
		return err
	}
	healthy, err := first(lines, driversReady)
	if err != nil {
		return err
	}
	recovered, err := first(lines, clientStarted)
	if err != nil {
		return err
	}
	r.drivers = append(r.drivers, recovered.Sub(healthy).Seconds())
	r.whole = append(r.whole, latest(perAlloc(lines, poststartDone)).Sub(began).Seconds())
	return nil
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
