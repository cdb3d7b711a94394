// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"fmt"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// Snapshot is what the outputs of a run say up to now, all sources combined.
type Snapshot struct {
	Started    time.Time        // the solver's own clock, in its time zone, given as UTC; zero not known
	Version    string           // e.g. R14.0
	Revision   string           // e.g. R14.0-515-g8a12796b62
	Parallel   lsdyna.Parallel  // "" not known
	Precision  lsdyna.Precision // "" not known
	Processors int              // CPUs or ranks; 0 not known

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
