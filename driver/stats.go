// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/usage"
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
	stats := usage.Of(h, d.said().compute)
	d.routines.Go(func() { stats.Stream(ctx, d.ctx, interval, ch) })
	return ch, nil
}
