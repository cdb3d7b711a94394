// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package usage tells what a task's processes use.
package usage

import (
	"context"
	"time"

	"github.com/hashicorp/go-set/v3"
	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/drivers/shared/executor/procstats"
	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
)

// Stats are what one task's processes use.
type Stats struct {
	handle  *task.Handle
	compute cpustats.Compute
}

// Of returns the statistics of a task on a machine.
func Of(h *task.Handle, compute cpustats.Compute) Stats { return Stats{handle: h, compute: compute} }

// Stream sends them at the given interval, at once for the first time, until one of the
// contexts or the task ends.
func (s Stats) Stream(ctx, driver context.Context, interval time.Duration, ch chan<- *drivers.TaskResourceUsage) {
	defer close(ch)
	usage := procstats.New(s.compute, s)
	total := cpustats.New(s.compute)
	timer := time.NewTimer(0) // the first at once
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-driver.Done():
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
		case <-driver.Done():
			return
		case <-s.handle.Gone(): // and nobody takes the last
			return
		}
	}
}

// ListProcesses returns the task's processes, for procstats.
func (s Stats) ListProcesses() set.Collection[procstats.ProcessID] {
	pids, err := s.handle.PIDs()
	if err != nil {
		return set.New[procstats.ProcessID](0)
	}
	return set.From(pids)
}
