// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/eta"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/glstat"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/tally"
)

// Snapshot is what all outputs of a run hold up to now, put together.
type Snapshot struct {
	Started time.Time // the solver's own clock, in its time zone, given as UTC; zero not known
	Header
	Phase Phase
	Licence
	Progress
	Warnings, Errors int64
	Kinds            tally.Tally // of warnings
	Mass
	FirstError *SolverError
	Dumps      []Dump // oldest first, at most the newest maxDumps
	PlotStates int64  // d3plot states written, by the solver's own lines
	Switching
	Ending
	Process
	LastWords   string // the last line that is not blank, of the first source
	Estimate           // of time, from the dated lines
	Nodes       string // of a run over several: whom it waits for, then which it has
	NodesStop   string // which node of such a run asked for its stop
	NodesEnded  string // why such a run was ended, "" where it ended by itself
	MemoryWords int64  // size of the static pool that the solver needed; 0 not known
	Sources     []string

	Energies *glstat.Stats // by glstat, or by the d3hsp of a run whose glstat is binary; nil where none tells
	Written  time.Time     // when one of the sources was last written to, by the clock of the folder's file system; zero not known
}

// Estimate is how long a run has taken and will take.
type Estimate struct {
	Elapsed         time.Duration // printed at the end, else from the start to the last dated line; 0 not known
	HasETA          bool
	Remaining       eta.Forecast  // wall time to the end; only with HasETA
	NoETA           string        // why a run that solves has none, "" where it has one
	History         eta.Estimator // the dated lines of all outputs
	SwitchDelay     time.Duration // until the solver reads d3kil again; 0 not known
	CyclesPerSecond float64       // over the run; 0 not known
}

// LastDump is the newest restart file, by the solver's own lines, or nil.
func (s Snapshot) LastDump() *Dump {
	if len(s.Dumps) == 0 {
		return nil
	}
	return &s.Dumps[len(s.Dumps)-1]
}

// DumpsAfter is the restart files that came after one, the oldest first; all of them
// where that is nil or was too long ago to be known.
func (s Snapshot) DumpsAfter(last *Dump) []Dump {
	for i := range slices.Backward(s.Dumps) {
		if last != nil && last.Same(s.Dumps[i]) {
			return s.Dumps[i+1:]
		}
	}
	return s.Dumps
}

// seconds is a time that a solver printed; nonsense stays in range.
func seconds(n int64) time.Duration {
	const most = int64(100 * 365 * 24 * 3600)
	return time.Duration(min(max(n, 0), most)) * time.Second
}

// Summary is the run in one line: t of the end time, cycles, elapsed time,
// errors and warnings.
func (s Snapshot) Summary() string {
	if len(s.Sources) == 0 && s.Energies != nil {
		return "a glstat alone tells no cycles, errors and warnings"
	}
	var parts []string
	switch {
	case s.HasTime && s.Relaxing:
		parts = append(parts, fmt.Sprintf("dynamic relaxation at t = %.4g of its own", s.Time))
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
