// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-set/v3"
	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/drivers/shared/executor/procstats"
	"github.com/hashicorp/nomad/plugins/drivers"
)

// TaskStats streams what a task's processes use, at the given interval, until
// the context or the task ends.
func (d *Driver) TaskStats(ctx context.Context, taskID string, interval time.Duration) (<-chan *drivers.TaskResourceUsage, error) {
	t, err := d.task(taskID)
	if err != nil {
		return nil, err
	}
	if t.isOver() {
		return nil, errors.New("the solver has ended")
	}
	if interval <= 0 {
		interval = time.Second
	}
	ch := make(chan *drivers.TaskResourceUsage)
	go t.stats(ctx, d.ctx, d.compute, interval, ch)
	return ch, nil
}

func (t *task) stats(ctx, driver context.Context, compute cpustats.Compute, interval time.Duration, ch chan<- *drivers.TaskResourceUsage) {
	defer close(ch)
	usage := procstats.New(compute, t)
	total := cpustats.New(compute)
	timer := time.NewTimer(0) // the first at once
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-driver.Done():
			return
		case <-t.done:
			return
		case <-timer.C:
			timer.Reset(interval)
		}
		select {
		case ch <- procstats.Aggregate(total, usage.StatProcesses(time.Now())):
		case <-ctx.Done():
			return
		case <-driver.Done():
			return
		case <-t.done: // and nobody takes the last
			return
		}
	}
}

// ListProcesses returns the task's processes, for procstats.
func (t *task) ListProcesses() set.Collection[procstats.ProcessID] {
	tree, err := t.process().Tree()
	if err != nil {
		return set.New[procstats.ProcessID](0)
	}
	pids, err := tree.PIDs()
	if err != nil {
		return set.New[procstats.ProcessID](0)
	}
	return set.From(pids)
}
