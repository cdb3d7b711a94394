// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/execution"
)

// ExecTask executes a command in a task and returns the end of its output, as script
// checks do. It answers as raw_exec does: stdout and stderr are one stream, of which
// drivers.CheckBufSize bytes are kept, and a command that was ended with its time has
// the exit code -1. A timeout of 0 or less has passed already. The timeout covers the
// launch as well, and all that the command has started ends with it.
func (d *Driver) ExecTask(taskID string, cmd []string, timeout time.Duration) (*drivers.ExecTaskResult, error) {
	h, err := d.task(taskID)
	if err != nil {
		return nil, err
	}
	return execution.Check(d.ctx, h, cmd, timeout)
}

// ExecTaskStreaming executes a command in a task for `nomad alloc exec`.
func (d *Driver) ExecTaskStreaming(ctx context.Context, taskID string, opts *drivers.ExecOptions) (*drivers.ExitResult, error) {
	defer opts.Stdout.Close()
	defer opts.Stderr.Close()
	h, err := d.task(taskID)
	if err != nil {
		return nil, err
	}
	return execution.Stream(ctx, h, opts)
}
