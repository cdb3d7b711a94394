// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/solvercheck"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/license"
)

// What a start asks before anything runs.

func (s *start) checkSolver() error {
	err := s.d.solvers.Check(s.d.ctx, s.job.Solver)
	var silent *solvercheck.NoAnswerError
	switch {
	case errors.As(err, &silent):
		return structs.NewRecoverableError(fmt.Errorf("solver: %w", err), true)
	case err != nil:
		return fmt.Errorf("solver: %w", err)
	}
	return nil
}

// qrunTimeout bounds one question to the licence server.
const qrunTimeout = 15 * time.Second

// checkLicense asks the licence server, where the operator says how, whether
// the run could have its licences: one that waits for them would hold cores.
func (s *start) checkLicense() error {
	l := s.node.License
	if l == nil || l.QRun == "" || s.isFollower() {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.d.ctx, qrunTimeout)
	defer cancel()
	// An executable on a dead file server would hold up every other one that this
	// process starts.
	err := s.d.solvers.Check(ctx, lsdyna.Solver{Path: l.QRun})
	if _, ok := errors.AsType[*solvercheck.NoAnswerError](err); !ok {
		_, err = license.Check(ctx, *l, s.job.Solver.Parallel, s.place.asked*s.job.Nodes)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, license.ErrNotEnough):
		return structs.NewRecoverableError(err, true)
	}
	s.events = append(s.events, "Could not ask the licence server, starting all the same: "+err.Error())
	return nil
}

// checkHandle refuses a task that could not be recovered.
func (s *start) checkHandle() error {
	details, err := s.details.Encode()
	if err != nil {
		return err
	}
	return s.job.CheckHandle(s.cfg, details)
}

// countCores finds how many cores the task asks for.
func (s *start) countCores() error {
	reserved, physical := s.place.reserved.Len(), 0
	if reserved > 0 {
		physical = s.d.cores.PhysicalCores(s.place.reserved)
	}
	if err := s.job.SettleCores(reserved, physical); err != nil {
		return fmt.Errorf("task configuration: %w", err)
	}
	s.place.asked = max(s.job.NCPU, -s.job.NCPU)
	if reserved > 0 {
		return nil // Nomad has set them aside
	}
	all := s.d.cores.Capacity()
	if s.place.asked > all && s.job.Shortage == settings.ShortageRetry {
		return fmt.Errorf("cores: %d asked, and this node gives out %d at most: ask for fewer with ncpu", s.place.asked, all)
	}
	if s.place.asked <= all {
		s.place.met = s.d.cores.Expect(s.place.asked)
	}
	return nil
}
