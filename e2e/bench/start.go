// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// memoryTasks is how many tasks of each driver run when memory is measured.
const memoryTasks = 20

// settle is how long the processes of running tasks are left alone before their
// memory is measured: what they gave back to the kernel by then does not count.
const settle = 3 * time.Second

// startAndMemory starts tasks of both drivers in turn and leaves them running. It
// measures, for each, from the client's last word before StartTask to the solver's
// first instruction, and when memoryTasks of each run, the memory beside them.
func startAndMemory(ctx context.Context, bin string, rounds int, r *results, say func(string, ...any)) (err error) {
	s, err := newSite(ctx, bin)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return err
	}
	// The first start of each loads binaries from disk and is not counted.
	for i := range rounds + 1 {
		for _, d := range drivers {
			took, err := s.startOne(ctx, d, i)
			if err != nil {
				return fmt.Errorf("start a task of %s: %w", d, err)
			}
			if i > 0 {
				r.start[d] = append(r.start[d], took.Seconds())
			}
		}
		if i+1 == memoryTasks {
			if err := s.memoryInto(ctx, r); err != nil {
				return err
			}
		}
		if i > 0 && i%10 == 0 {
			say("%d of %d starts", i, rounds)
		}
	}
	return nil
}

// startOne starts one task and returns how long its driver took for it.
func (s *site) startOne(ctx context.Context, d driver, i int) (time.Duration, error) {
	lines, err := s.run(ctx, d, fmt.Sprintf("start-%s-%d", d, i), 1)
	if err != nil {
		return 0, err
	}
	stamps, err := s.waitStamps(ctx, s.started)
	if err != nil {
		return 0, err
	}
	for alloc, called := range perAlloc(lines, prestartDone) {
		stamp, ok := stamps[alloc]
		if !ok {
			return 0, fmt.Errorf("the solver of allocation %s left no stamp", alloc)
		}
		took := stamp.born.Sub(called)
		if took <= 0 {
			return 0, fmt.Errorf("the solver started %s before StartTask: was the clock set meanwhile?", -took)
		}
		return took, nil
	}
	return 0, fmt.Errorf("the agent's log does not say %q", prestartDone)
}

func (s *site) memoryInto(ctx context.Context, r *results) (err error) {
	if err := pause(ctx, settle); err != nil {
		return err
	}
	for _, d := range drivers {
		if r.memory[d], err = s.besideMemory(d, memoryTasks); err != nil {
			return err
		}
	}
	r.plugin, err = s.pluginMemory()
	return err
}
