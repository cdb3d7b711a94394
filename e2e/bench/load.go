// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// A load is what many tasks of one driver on one client cost. Seconds and bytes.
type load struct {
	start, recovery, stop float64 // of all of them, by the client's log and the processes' ends
	cpu                   float64 // seconds a second, of the driver's processes while the tasks just run
	memory                float64 // private, of the driver's processes
}

// carry has one client start many tasks of one driver, looks at them at rest, kills
// client and plugin, has them recovered, and stops them.
func carry(ctx context.Context, bin string, d driver, p plan, say func(string, ...any)) (l load, err error) {
	s, err := newSite(ctx, bin)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return l, err
	}
	name := "load-" + string(d)
	began := time.Now()
	if _, err := s.run(ctx, d, name, p.load); err != nil {
		return l, fmt.Errorf("start %d tasks of %s: %w", p.load, d, err)
	}
	solvers, err := s.waitStamps(ctx, p.load)
	if err != nil {
		return l, err
	}
	l.start = time.Since(began).Seconds()
	say("%d tasks of %s run", p.load, d)
	if err := s.atRest(ctx, d, p, &l); err != nil {
		return l, err
	}
	if err := s.recoverLoad(ctx, name, p.load, &l); err != nil {
		return l, err
	}
	if err := s.sameSolvers(solvers, p.load); err != nil {
		return l, fmt.Errorf("recover %d tasks of %s: %w", p.load, d, err)
	}
	say("%d tasks of %s recovered", p.load, d)
	began = time.Now()
	if err := s.client.StopJob(ctx, name, false); err != nil {
		return l, err
	}
	if err := s.waitGone(ctx, solvers); err != nil {
		return l, err
	}
	l.stop = time.Since(began).Seconds()
	return l, nil
}

// atRest measures what the driver's processes take while nothing happens.
func (s *site) atRest(ctx context.Context, d driver, p plan, l *load) error {
	if err := pause(ctx, settle); err != nil {
		return err
	}
	processes, err := s.beside(d)
	if err != nil {
		return err
	}
	if len(processes) != p.load {
		return fmt.Errorf("%d processes beside %d tasks of %s", len(processes), p.load, d)
	}
	if d == ours {
		plugins, err := s.client.Plugins()
		if err != nil {
			return err
		}
		processes = append(processes, plugins...)
	}
	sizes, err := privateOf(processes)
	if err != nil {
		return err
	}
	for _, size := range sizes {
		l.memory += size
	}
	before, err := runTime(processes)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := pause(ctx, p.rest); err != nil {
		return err
	}
	after, err := runTime(processes)
	if err != nil {
		return err
	}
	l.cpu = (after - before).Seconds() / time.Since(began).Seconds()
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// runTime is how long the processes have been on a CPU so far, by their CPU clocks.
// These count what threads used that have ended (the plugin ends each thread that had
// a user's rights), which files of threads below /proc do not.
func runTime(processes []proc.Process) (sum time.Duration, err error) {
	for _, p := range processes {
		var on unix.Timespec
		if err := unix.ClockGettime(cpuClock(p.PID), &on); err != nil {
			return 0, fmt.Errorf("run time of %s: %w", p, err)
		}
		sum += time.Duration(on.Nano())
	}
	return sum, nil
}

// cpuClock is the id of a process's CPU clock, as clock_getcpuclockid(3) makes it:
// the inverted process id, and CPUCLOCK_SCHED, in nanoseconds.
func cpuClock(pid int) int32 {
	const sched = 2
	return ^int32(pid)<<3 | sched
}

// recoverLoad kills client and plugin and waits until every task counts as running
// in the client's next life.
func (s *site) recoverLoad(ctx context.Context, job string, n int, l *load) error {
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
	l.recovery = latest(perAlloc(lines, poststartDone)).Sub(began).Seconds()
	return nil
}

// waitGone waits for the solvers' ends.
func (s *site) waitGone(ctx context.Context, solvers map[string]stamp) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return cluster.Poll(ctx, "the end of the solvers", func() (bool, string, error) {
		left := 0
		for _, solver := range solvers {
			if p, err := proc.Read(solver.pid); err == nil && p.Alive() && p.Exe == s.solver {
				left++
			}
		}
		return left == 0, fmt.Sprintf("%d left", left), nil
	})
}
