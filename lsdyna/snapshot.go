// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Snapshot is what the outputs of a run say up to now, all sources combined.
type Snapshot struct {
	Started    time.Time // the solver's own clock, in its time zone, given as UTC; zero not known
	Version    string    // e.g. R14.0
	Revision   string    // e.g. R14.0-515-g8a12796b62
	Parallel   Parallel  // "" not known
	Precision  Precision // "" not known
	Processors int       // CPUs or ranks; 0 not known

	Phase          Phase
	LicenceGranted bool   // says so, or works on the deck
	LicenceKind    string // ansys, network, local; "" not known
	LicenceTrouble string // first line that speaks of a licence going wrong; may be harmless noise
	LicenceWaiting bool   // the last word about the licence was that it is queued

	HasTime bool    // Time and Cycle are known
	Time    float64 // problem time
	EndTime float64 // termination time; 0 not known
	Cycle   int64
	Dt      float64 // time step

	Warnings, Errors int64
	FirstError       *SolverError
	Dumps            []Dump // oldest first, at most the newest MaxDumps
	PlotStates       int64  // d3plot states the solver said it wrote

	SenseSwitch  string // the switch that the solver says ended it, e.g. stop
	KillFile     bool   // kill file detected
	TimeReached  bool   // termination time reached
	Termination  string // any other `*** termination … ***` line
	Crash        string // the Fortran runtime's line about a signal or a crash
	StudentLimit bool   // error 70043: more elements than the licence allows
	Banner       Banner
	EndBlock     bool   // the closing block, and a banner after it, are there
	LastWords    string // the last line with text in it, of the first source

	Elapsed         time.Duration // said by the solver at its end, else from its start to its last dated line; 0 not known
	HasETA          bool
	Remaining       time.Duration // estimated wall time to the end; only with HasETA
	SwitchDelay     time.Duration // estimated time until the solver looks at d3kil; 0 not known
	CyclesPerSecond float64       // over the run; 0 not known
	MemoryWords     int64         // size of the static pool that the solver says it needed; 0 not known
	Sources         []string      // files that were read
}

// LastDump is the newest restart file that the solver said it wrote, or nil.
func (s Snapshot) LastDump() *Dump {
	if len(s.Dumps) == 0 {
		return nil
	}
	return &s.Dumps[len(s.Dumps)-1]
}

// namedFacts is one source's facts.
type namedFacts struct {
	name string
	kind source
	Facts
}

// sourceOrder is the order in which sources are believed: stdout is the only
// one that tells of licences, and messag the most complete one after it.
var sourceOrder = map[source]int{sourceStdout: 0, sourceMessag: 1, sourceD3hsp: 2, sourceStatus: 3}

// sameRun is how far the header dates of two sources of one run may differ.
const sameRun = 5 * time.Second

// combine makes one snapshot of all sources. A source whose header is older
// than another's tells of an earlier run and is left out.
func combine(all []namedFacts) Snapshot {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b namedFacts) int { return cmp.Compare(sourceOrder[a.kind], sourceOrder[b.kind]) })
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
		s.Sources = append(s.Sources, all[i].name)
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

// seconds is a time that a solver printed; nonsense stays in range.
func seconds(n int64) time.Duration {
	const most = int64(100 * 365 * 24 * 3600)
	return time.Duration(min(max(n, 0), most)) * time.Second
}

// Summary is the run in one line: t of the end time, cycles, elapsed time,
// errors and warnings.
func (s Snapshot) Summary() string {
	var parts []string
	switch {
	case s.HasTime && s.EndTime > 0:
		parts = append(parts, fmt.Sprintf("t = %.4g of %.4g", s.Time, s.EndTime))
	case s.HasTime:
		parts = append(parts, fmt.Sprintf("t = %.4g, end time not known", s.Time))
	default:
		parts = append(parts, "no cycle was run")
	}
	if s.HasTime {
		parts = append(parts, plural(s.Cycle, "cycle"))
	}
	if s.Elapsed > 0 {
		parts = append(parts, s.Elapsed.String())
	}
	parts = append(parts, plural(s.Errors, "error"), plural(s.Warnings, "warning"))
	return strings.Join(parts, ", ")
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
