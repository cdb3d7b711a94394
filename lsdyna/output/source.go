// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"cmp"
	"slices"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// Source is one source's facts.
type Source struct {
	Name string
	Kind lsdyna.OutputKind
	Facts
}

// sourceOrder is the order in which sources are believed: stdout is the only
// one that tells of licences, and messag the most complete one after it.
var sourceOrder = map[lsdyna.OutputKind]int{lsdyna.KindStdout: 0, lsdyna.KindMessag: 1, lsdyna.KindD3hsp: 2, lsdyna.KindStatus: 3, lsdyna.KindStderr: 4}

// sameRun is how far the header dates of two sources of one run may differ.
const sameRun = 5 * time.Second

// Combine makes one snapshot of all sources. A source whose header is older
// than another's tells of an earlier run and is left out.
func Combine(all []Source) Snapshot {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Source) int { return cmp.Compare(sourceOrder[a.Kind], sourceOrder[b.Kind]) })
	var newest time.Time
	for _, f := range all {
		if f.Started.After(newest) {
			newest = f.Started
		}
	}
	s := Snapshot{Phase: PhaseStarting, Started: newest}
	var latest *Facts
	for i := range all {
		f := &all[i].Facts
		if !f.Started.IsZero() && newest.Sub(f.Started) > sameRun {
			continue
		}
		if all[i].Kind == lsdyna.KindStderr {
			s.Crash = cmp.Or(s.Crash, f.Crash) // whatever else is there, LS-DYNA says elsewhere
			continue
		}
		s.Sources = append(s.Sources, all[i].Name)
		s.add(f)
		if latest == nil || later(f, latest) {
			latest = f
		}
	}
	if latest != nil {
		s.progress(latest)
	}
	return s
}

// later tells which of two sources of one run knows the newer problem time.
func later(a, b *Facts) bool {
	switch {
	case a.HasTime != b.HasTime:
		return a.HasTime
	case a.FinalTime != b.FinalTime:
		return a.FinalTime
	case a.LastWall != b.LastWall:
		return a.LastWall > b.LastWall
	}
	return a.Time > b.Time
}

// add takes what does not depend on the moment.
func (s *Snapshot) add(f *Facts) {
	if f.Phase.order() > s.Phase.order() {
		s.Phase = f.Phase
	}
	s.Version = cmp.Or(s.Version, f.Version)
	s.Revision = cmp.Or(s.Revision, f.Revision)
	s.Parallel = cmp.Or(s.Parallel, f.Parallel)
	s.Precision = cmp.Or(s.Precision, f.Precision)
	s.Processors = cmp.Or(s.Processors, f.Processors)
	s.LicenceGranted = s.LicenceGranted || f.LicenceGranted
	s.LicenceKind = cmp.Or(s.LicenceKind, f.LicenceKind)
	s.LicenceTrouble = cmp.Or(s.LicenceTrouble, f.LicenceTrouble)
	s.LicenceWaiting = (s.LicenceWaiting || f.LicenceWaiting) && !s.LicenceGranted
	s.EndTime = cmp.Or(s.EndTime, f.EndTime)
	s.Warnings, s.Errors = max(s.Warnings, f.Warnings), max(s.Errors, f.Errors)
	if s.FirstError == nil && len(f.FirstErrors) > 0 {
		first := f.FirstErrors[0]
		s.FirstError = &first
	}
	if len(f.Dumps) > len(s.Dumps) {
		s.Dumps = f.Dumps
	}
	s.PlotStates = max(s.PlotStates, f.PlotStates)
	s.SenseSwitch = cmp.Or(s.SenseSwitch, f.SenseSwitch)
	s.KillFile = s.KillFile || f.KillFile
	s.TimeReached = s.TimeReached || f.TimeReached
	s.Termination = cmp.Or(s.Termination, f.Termination)
	s.Crash = cmp.Or(s.Crash, f.Crash)
	s.StudentLimit = s.StudentLimit || f.StudentLimit
	if s.Banner != ErrorBanner && f.Banner != NoBanner {
		s.Banner = f.Banner // an error banner anywhere outweighs a normal one
	}
	s.EndBlock = s.EndBlock || f.EndBlock
	s.LastWords = cmp.Or(s.LastWords, f.LastLine)
	s.MemoryWords = max(s.MemoryWords, f.MemoryWords)
	if f.HasElapsed {
		s.Elapsed = seconds(f.ElapsedSeconds)
	}
}

// progress takes what the source with the newest problem time says.
func (s *Snapshot) progress(f *Facts) {
	s.HasTime, s.Time, s.Cycle, s.Dt = f.HasTime, f.Time, f.Cycle, f.Dt
	start := f.FirstWall
	if !f.Started.IsZero() {
		start = f.Started.Unix()
	}
	if s.Elapsed == 0 && f.LastWall > start && start > 0 {
		s.Elapsed = seconds(f.LastWall - start)
	}
	if wall := f.LastWall - f.FirstWall; wall > 0 && f.Cycle > f.FirstCycle {
		s.CyclesPerSecond = float64(f.Cycle-f.FirstCycle) / float64(wall)
	}
	if s.Phase != PhaseSolving {
		return
	}
	if s.EndTime > 0 {
		s.Remaining, s.HasETA = f.Rate.Remaining(s.EndTime)
	}
	steps := cyclesBetweenLooks
	if f.Implicit {
		steps = 1
	}
	s.SwitchDelay, _ = f.Rate.Remaining(s.Time + float64(steps)*s.Dt)
}

// cyclesBetweenLooks is how often an explicit run looks for d3kil: about every
// 100 cycles in the runs seen. An implicit one looks at every step. A
// kill_timeout shorter than this takes leaves no time for a dump.
const cyclesBetweenLooks = 100
