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

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
)

// TaskStats streams what a task's processes use, at the given interval, until
// the context or the task ends.
func (d *Driver) TaskStats(ctx context.Context, taskID string, interval time.Duration) (<-chan *drivers.TaskResourceUsage, error) {
	h, err := d.task(taskID)
	if err != nil {
		return nil, err
	}
	if h.IsGone() {
		return nil, errors.New("the solver has ended")
	}
	if interval <= 0 {
		interval = time.Second
	}
	ch := make(chan *drivers.TaskResourceUsage)
	stats := taskStats{handle: h, driver: d.ctx, compute: d.said().compute}
	d.routines.Go(func() { stats.stream(ctx, interval, ch) })
	return ch, nil
}

// taskStats are what one task's processes use.
type taskStats struct {
	handle  *task.Handle
	driver  context.Context
	compute cpustats.Compute
}

func (s taskStats) stream(ctx context.Context, interval time.Duration, ch chan<- *drivers.TaskResourceUsage) {
	defer close(ch)
	usage := procstats.New(s.compute, s)
	total := cpustats.New(s.compute)
	timer := time.NewTimer(0) // the first at once
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.driver.Done():
			return
		case <-s.handle.Gone():
			return
		case <-timer.C:
			timer.Reset(interval)
		}
		select {
		case ch <- procstats.Aggregate(total, usage.StatProcesses(time.Now())):
		case <-ctx.Done():
			return
		case <-s.driver.Done():
			return
		case <-s.handle.Gone(): // and nobody takes the last
			return
		}
	}
}

// ListProcesses returns the task's processes, for procstats.
func (s taskStats) ListProcesses() set.Collection[procstats.ProcessID] {
	pids, err := s.handle.PIDs()
	if err != nil {
		return set.New[procstats.ProcessID](0)
	}
	return set.From(pids)
}
