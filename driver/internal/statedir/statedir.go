// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package statedir takes a state_dir for this plugin process, also from one that no
// agent uses any more or that cannot end, and removes what is old there.
package statedir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Open takes state_dir, if need be from a plugin that no agent uses any
// more: an agent that is killed while it launches a plugin forgets that plugin,
// which then lives on and holds state_dir; or from one that was killed and cannot end.
func Open(ctx context.Context, dir string, logger hclog.Logger) (*state.Store, error) {
	store, err := state.Open(dir)
	var used *state.InUseError
	if !errors.As(err, &used) {
		return store, err
	}
	holder := used.Holder.Process()
	if holder.Dying(procfs.Root) {
		return succeed(ctx, used, logger)
	}
	if !holder.Alive(procfs.Root) || used.Holder.Parent().Alive(procfs.Root) {
		return nil, err
	}
	if used.Holder.ParentPID <= 1 {
		return nil, err // launched by init itself: nothing can be told
	}
	logger.Warn("ending a plugin process whose agent is dead", "pid", used.Holder.PID)
	if err := supervisor.EndProcess(holder); err != nil && !errors.Is(err, supervisor.ErrNotEnded) {
		return nil, fmt.Errorf("%w; it is left over from a dead agent: %w", used, err)
	}
	return succeed(ctx, used, logger)
}

// lastCalls is how long a plugin process that was killed is waited for before
// state_dir is taken over from it. Most end at once, and what their threads do
// meanwhile is not done beside a successor's work.
const lastCalls = 2 * time.Second

// succeed takes state_dir as soon as the plugin process that has it has ended, or
// when it has been dying for lastCalls: a thread of it waits for a file server then,
// and its lock would stay for as long.
func succeed(ctx context.Context, used *state.InUseError, logger hclog.Logger) (*state.Store, error) {
	began := time.Now()
	for {
		store, err := state.Open(used.Dir)
		var now *state.InUseError
		switch {
		case !errors.As(err, &now):
			return store, err
		case now.Holder != used.Holder || !now.Holder.Process().Dying(procfs.Root):
			return nil, err
		case time.Since(began) >= lastCalls:
			logger.Warn("taking state_dir over from a plugin process that was killed and cannot end: does it wait for a dead file server?", "pid", now.Holder.PID)
			return state.TakeOver(used.Dir, now.Holder)
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// staleAfter is how long a record is kept at least, counted from the run's start.
const staleAfter = 30 * 24 * time.Hour

// RemoveStale removes the records of runs that are over and that Nomad can no
// longer ask for: their allocations are gone from the client's disk. Age alone is
// no reason: a long run may have ended while nobody watched. A start that failed needs
// none: Nomad never asks for it.
func RemoveStale(ctx context.Context, records []*state.Record, logger hclog.Logger) {
	for _, record := range records {
		if ctx.Err() != nil {
			return
		}
		details, err := record.ReadDetails()
		if err != nil || !details.StartFailed && !isStale(&details) {
			continue
		}
		if err := errors.Join(supervisor.RemoveCgroups(record.Dir), record.Remove()); err != nil {
			logger.Warn("cannot remove an old record", "error", err)
		}
	}
}

func isStale(details *state.Details) bool {
	if details.AllocDir == "" || time.Since(details.StartedAt) < staleAfter {
		return false
	}
	_, err := os.Lstat(details.AllocDir)
	return errors.Is(err, fs.ErrNotExist)
}
