// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/health"
)

// HealthFacts is what the outputs tell of the run's health.
func (s *Snapshot) HealthFacts() *health.Facts {
	f := &health.Facts{
		Solving: s.Phase == PhaseSolving, Ended: s.Phase.order() > PhaseSolving.order(), Implicit: s.Implicit, HasTime: s.HasTime, Time: s.Time,
		Dt: s.Dt, LargestDt: s.LargestDt, Energies: s.Energies,
		HasMass: s.HasAddedMass, AddedMass: s.AddedMass, MassPercent: s.AddedMassPercent,
		Warnings: s.Kinds, Ends: []string{s.Crash, s.RankExit, s.MPIFatal, s.Broken, s.NodesEnded},
	}
	if s.FirstError != nil {
		f.Ends = append(f.Ends, s.FirstError.Text)
	}
	return f
}

// Health is how the run does. now is the time by the clock of the folder's file system, by
// which the outputs were written to last; zero where the run has ended.
func (s *Snapshot) Health(now time.Time) health.Health {
	var quiet *time.Duration
	if !now.IsZero() && !s.Written.IsZero() {
		since := now.Sub(s.Written)
		quiet = &since
	}
	return health.Of(s.HealthFacts(), quiet)
}
