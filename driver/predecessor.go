// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// killPatience is how long the processes of an earlier run may take to vanish after
// SIGKILL.
const killPatience = time.Minute

// endPredecessors makes sure that no earlier run of this task of this
// allocation lives: Nomad starts a task anew when it could not learn that the
// first start succeeded, and two solvers in one run folder destroy each other's
// results. The earlier run is stopped like any other, so that this one can go on from
// its dump.
func (s *start) endPredecessors() error {
	earlier := s.d.runs.Find(func(h *task.Handle) bool { return h.ID.Alloc == s.id.Alloc && h.ID.Task == s.id.Task })
	for _, h := range earlier {
		if h.IsGone() || h.AwaitStop(s.d.ctx) {
			continue
		}
		h.Logger().Warn("ending a predecessor of the same allocation and task", "successor", s.cfg.ID)
		if err := h.GiveWay(s.d.ctx); err != nil {
			return structs.NewRecoverableError(fmt.Errorf("an earlier run of this task lives and cannot be ended yet: %w", err), true)
		}
		words := fmt.Sprintf("Ended an earlier run of this task that was still alive (pid %d)", h.PID())
		if effect := h.StopEffect(); effect != "" {
			words += ". " + effect
		}
		s.events = append(s.events, words)
	}
	return s.endLeftovers()
}

// endLeftovers ends what earlier runs left behind whose supervisor was killed,
// such as MPI ranks: it is in the cgroup that the new run gets.
func (s *start) endLeftovers() error {
	ctx, cancel := context.WithTimeout(s.d.ctx, killPatience)
	defer cancel()
	records, err := s.d.store.Runs(s.id.Alloc, s.id.Task)
	if err != nil {
		s.d.logger.Warn("some records cannot be read", "error", err)
	}
	for _, record := range records {
		if err := endProcesses(ctx, record.Dir); err != nil {
			return structs.NewRecoverableError(fmt.Errorf("an earlier run of this task left processes that cannot be ended yet: %w", err), true)
		}
	}
	return nil
}

// endProcesses ends the processes of a run that is over. A record that cannot be
// read names none.
func endProcesses(ctx context.Context, dir string) error {
	proc, err := supervisor.Open(dir)
	if err != nil {
		return nil //nolint:nilerr // there is nothing to go by
	}
	defer proc.Close()
	tree, err := proc.Tree()
	if err != nil {
		return nil //nolint:nilerr // there is nothing to go by
	}
	return tree.Kill(ctx)
}
