// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// killPatience is how long the driver waits for processes to vanish after
// SIGKILL: the kernel may have to write a core file or wait for a disk.
const killPatience = time.Minute

// Kill ends every process of the run at once and waits until none is left and its
// cores are free.
func (h *Handle) Kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, killPatience)
	defer cancel()
	if err := h.kill(ctx); err != nil {
		return err
	}
	return h.waitGone(ctx)
}

// killPause is how long killUntil waits after a failure. A variable for tests.
var killPause = 5 * time.Second

// killUntil kills until that succeeds, gone is closed or ctx ends. What the kernel
// cannot end now, or cannot be found for a moment, may be ended later.
func (h *Handle) killUntil(ctx context.Context, gone <-chan struct{}, kill func(context.Context) error) {
	for told := false; ; told = true {
		attempt, cancel := context.WithTimeout(ctx, killPatience)
		err := kill(attempt)
		cancel()
		if err == nil || ctx.Err() != nil || closed(gone) {
			return
		}
		if !told {
			h.say("The solver cannot be ended yet; its cores stay its own, and it is tried again: %v", err)
		}
		select {
		case <-gone:
			return
		case <-ctx.Done():
			return
		case <-time.After(killPause):
		}
	}
}

// kill ends every process of the run. A solver that is just being launched shows
// up a moment later, so it looks again.
func (h *Handle) kill(ctx context.Context) error {
	const pause = 100 * time.Millisecond
	for !h.IsGone() {
		tree, err := h.Process().Tree()
		if err != nil {
			return fmt.Errorf("find the task's processes: %w", err)
		}
		if err := tree.Kill(ctx); err != nil {
			return fmt.Errorf("end the task's processes: %w", err)
		}
		select {
		case <-h.Process().Done():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("end the task's supervisor: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
	return nil
}

// Signal sends a signal to the solver.
func (h *Handle) Signal(sig syscall.Signal) error {
	tree, err := h.Process().Tree()
	if err != nil {
		return err
	}
	return tree.Signal(sig)
}

// PIDs returns the run's live processes.
func (h *Handle) PIDs() ([]int, error) {
	tree, err := h.Process().Tree()
	if err != nil {
		return nil, err
	}
	return tree.PIDs()
}

// waitGone waits until none of the run's processes is left and its cores are free.
func (h *Handle) waitGone(ctx context.Context) error {
	select {
	case <-h.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// WaitEnded waits a moment longer, until the result is final. A run folder that
// does not answer is not waited for, nor is a run that is destroyed meanwhile.
func (h *Handle) WaitEnded(ctx context.Context) error {
	if err := h.waitGone(ctx); err != nil {
		return err
	}
	const moment = 10 * time.Second
	timer := time.NewTimer(moment)
	defer timer.Stop()
	select {
	case <-h.ended:
	case <-timer.C:
	case <-h.ctx.Done():
	case <-ctx.Done():
	}
	return nil
}
