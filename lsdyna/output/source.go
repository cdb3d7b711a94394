// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"cmp"
	"slices"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/around"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/eta"
)

// Source is what one output file of a run holds.
type Source struct {
	Name string // of the file
	Kind lsdyna.OutputKind
	Facts
}

// sourceOrder is the order in which sources are asked for a fact. stdout comes
// first, because it alone holds what is printed about licences; messag after it is
// the most complete.
var sourceOrder = map[lsdyna.OutputKind]int{lsdyna.KindStdout: 0, lsdyna.KindMessag: 1, lsdyna.KindD3hsp: 2, lsdyna.KindStatus: 3, lsdyna.KindStderr: 4}

// sameRun is how far the header dates of two sources of one run may differ.
const sameRun = 5 * time.Second

// Combine makes one snapshot of all sources. A source whose header is older
// than another's is of an earlier run and is left out.
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
	var rates []eta.Estimator
	unnumbered := ""
	for i := range all {
		f := &all[i].Facts
		if !f.Started.IsZero() && newest.Sub(f.Started) > sameRun {
			continue
		}
		if all[i].Kind == lsdyna.KindStderr {
			// LS-DYNA itself prints nothing there.
			s.Said = around.Merge(s.Said, f.Said)
			continue
		}
		s.Sources = append(s.Sources, all[i].Name)
		s.add(f)
		unnumbered = cmp.Or(unnumbered, f.Unnumbered)
		if all[i].Kind == lsdyna.KindStdout { // the leading node writes nothing else
			s.Nodes, s.NodesStop, s.NodesEnded = f.Nodes, f.NodesStop, f.NodesEnded
		}
		if latest == nil || later(f, latest) {
			latest = f
		}
		if !f.Started.IsZero() || f.LastWall >= newest.Unix() { // else it is of an earlier run, of which it does not tell
			rates = append(rates, f.Rate)
		}
	}
	s.AddUnnumbered(unnumbered)
	if latest != nil {
		s.newest(latest)
		s.pace(latest, eta.Merge(rates))
	}
	return s
}

// later reports whether of two sources of one run a has the newer problem time.
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

// add takes the facts that do not depend on which source is the newest.
func (s *Snapshot) add(f *Facts) {
	if f.Phase.order() > s.Phase.order() {
		s.Phase = f.Phase
	}
	s.Header.add(f.Header)
	s.Licence.add(f.Licence)
	s.Ending.add(f.Ending)
	s.Process.add(f.Process)
	s.EndTime, s.EndCycle = cmp.Or(s.EndTime, f.EndTime), cmp.Or(s.EndCycle, f.EndCycle)
	if f.Warnings > s.Warnings { // stdout leaves out what comes after the fiftieth of a kind
		s.Kinds = f.Kinds
	}
	if f.HasAddedMass {
		s.Mass = f.Mass
	}
	s.Warnings, s.Errors = max(s.Warnings, f.Warnings), max(s.Errors, f.Errors)
	if s.FirstError == nil && len(f.FirstErrors) > 0 {
		first := f.FirstErrors[0]
		s.FirstError = &first
	}
	if moreDumps(f.Dumps, s.Dumps) {
		s.Dumps = f.Dumps
	}
	s.PlotStates = max(s.PlotStates, f.PlotStates)
	s.Signs += f.Signs
	s.LargestDt = max(s.LargestDt, f.LargestDt)
	s.Switching.add(f.Switching)
	s.LastWords = cmp.Or(s.LastWords, f.LastLine)
	s.MemoryWords = max(s.MemoryWords, f.MemoryWords)
	if f.HasElapsed {
		s.Elapsed = seconds(f.ElapsedSeconds)
	}
}

// moreDumps reports whether of two sources of one run a tells of dumps of which b does not
// tell yet. Both have forgotten the oldest of many.
func moreDumps(a, b []Dump) bool {
	if len(a) != len(b) || len(a) == 0 {
		return len(a) > len(b)
	}
	x, y := a[len(a)-1], b[len(b)-1]
	return cmp.Or(cmp.Compare(x.Cycle, y.Cycle), x.Wall.Compare(y.Wall)) > 0
}

// AddUnnumbered takes an error without a number, which counts where there is none with
// one, and nothing says that the run ended well. text may be empty.
func (s *Snapshot) AddUnnumbered(text string) {
	if text != "" && s.Errors == 0 && s.Banner != NormalBanner {
		s.Errors, s.FirstError = 1, &SolverError{Text: text}
	}
}

func (s *Switching) add(other Switching) {
	if other.SwitchLines > s.SwitchLines {
		s.SwitchLines, s.SwitchLine = other.SwitchLines, other.SwitchLine
	}
	s.Flushes, s.DumpEvery = max(s.Flushes, other.Flushes), cmp.Or(s.DumpEvery, other.DumpEvery)
}

func (h *Header) add(other Header) {
	h.Version = cmp.Or(h.Version, other.Version)
	h.Revision = cmp.Or(h.Revision, other.Revision)
	h.Parallel = cmp.Or(h.Parallel, other.Parallel)
	h.Precision = cmp.Or(h.Precision, other.Precision)
	h.Processors = cmp.Or(h.Processors, other.Processors)
	h.Host = cmp.Or(h.Host, other.Host)
}

func (l *Licence) add(other Licence) {
	l.LicenceAsked = l.LicenceAsked || other.LicenceAsked
	l.LicenceGranted = l.LicenceGranted || other.LicenceGranted
	l.LicenceKind = cmp.Or(l.LicenceKind, other.LicenceKind)
	l.LicenceTrouble = cmp.Or(l.LicenceTrouble, other.LicenceTrouble)
	l.LicenceLost = cmp.Or(l.LicenceLost, other.LicenceLost)
	l.LicenceWaiting = (l.LicenceWaiting || other.LicenceWaiting) && !l.LicenceGranted
}

func (e *Ending) add(other Ending) {
	e.TimeReached = e.TimeReached || other.TimeReached
	e.KillFile = e.KillFile || other.KillFile
	e.SenseSwitch = cmp.Or(e.SenseSwitch, other.SenseSwitch)
	e.Termination = cmp.Or(e.Termination, other.Termination)
	e.Eigenvalues = e.Eigenvalues || other.Eigenvalues
	e.Broken = cmp.Or(e.Broken, other.Broken)
	e.PlainError = e.PlainError || other.PlainError
	e.Said = around.Merge(e.Said, other.Said)
	e.StudentLimit = e.StudentLimit || other.StudentLimit
	if e.Banner != ErrorBanner && other.Banner != NoBanner {
		e.Banner = other.Banner // an error banner in any source outweighs a normal one
	}
	e.EndBlock = e.EndBlock || other.EndBlock
}

// newest takes the facts of the source with the newest problem time.
func (s *Snapshot) newest(f *Facts) {
	end, cycle, signs, dt := s.EndTime, s.EndCycle, s.Signs, s.LargestDt
	s.Progress = f.Progress
	s.EndTime, s.EndCycle, s.Signs, s.LargestDt = end, cycle, signs, dt
	if s.EndTime > 0 && s.Time > beyondEnd*s.EndTime {
		s.Relaxing = !s.FinalTime // of an output that does not tell the end time
	}
}

// pace takes what follows from problem time and wall clock, by the dated lines of all
// sources.
func (s *Snapshot) pace(latest *Facts, rate eta.Estimator) {
	s.History = rate
	start := s.Started.Unix()
	first, last := rate.Span()
	if rate.Len() > 0 {
		if s.Started.IsZero() || start > last.Wall {
			start = first.Wall
		}
		if s.Elapsed == 0 && start > 0 {
			s.Elapsed = seconds(last.Wall - start)
		}
		if took := last.Wall - first.Wall; took > 0 && last.Cycle > first.Cycle {
			s.CyclesPerSecond = float64(last.Cycle-first.Cycle) / float64(took)
		}
	}
	if s.Phase != PhaseSolving {
		return
	}
	s.Remaining, s.HasETA = rate.Forecast(s.EndTime)
	switch {
	case s.Relaxing:
		s.HasETA, s.Remaining = false, eta.Forecast{}
		s.NoETA = "it is in its dynamic relaxation, which ends when that converges"
	case s.HasETA:
	case !(s.EndTime > 0):
		s.NoETA = "its end time is not known: neither stdout nor d3hsp tells it"
	case !(s.Time < s.EndTime):
		s.NoETA = "its end time is reached"
	case rate.Len() == 0:
		s.NoETA = "no progress line has a date"
	case first.Problem > 0:
		s.NoETA = "only one progress line is there yet"
	default:
		s.NoETA = "it is at its first step"
	}
	if rate.Len() == 0 {
		return
	}
	steps := cyclesBetweenLooks
	if latest.Implicit {
		steps = 1
	}
	delay, _ := rate.Forecast(last.Problem + float64(steps)*s.Dt)
	s.SwitchDelay = delay.Likely
}

// cyclesBetweenLooks is how often an explicit run looks for d3kil: about every
// 100 cycles in the runs seen. An implicit run looks at every step. With a
// kill_timeout shorter than these cycles take, there is no time for a dump.
const cyclesBetweenLooks = 100
