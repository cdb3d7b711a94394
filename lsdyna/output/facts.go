// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"fmt"
	"slices"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/around"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/eta"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/tally"
)

// Bounds of what is kept of a run. Everything beyond is counted, not kept.
const (
	maxLine      = 1024 // bytes of one line that are read
	maxErrorText = 400  // bytes of an error's text
	maxErrors    = 5    // errors kept with their text
	maxDumps     = 64   // dumps kept, the newest
	maxFactText  = 200  // bytes of any other text
)

// Facts is what one output file holds about its last run. A zero value means that
// the file does not hold the fact.
type Facts struct {
	Runs    int       // headers seen; the facts are those of the last
	Started time.Time // the solver's own clock, in its time zone, given as UTC
	Header
	Phase Phase
	Licence
	Progress
	Clock
	Warnings int64
	Kinds    tally.Tally // of warnings
	Errors   int64
	Mass
	FirstErrors []SolverError
	Unnumbered  string // text of the first error without a number
	Dumps       []Dump
	PlotStates  int64 // d3plot states written, by the solver's own lines
	Switching
	Ending
	Process
	Nodes       string // of a run over several: whom it waits for, then which it has
	NodesStop   string // which node of such a run asked for its stop
	NodesEnded  string // why such a run was ended, "" where it ended by itself
	MemoryWords int64  // size of the static pool that the solver needed
	LastLine    string // the last one that is not blank
}

// Header is what the box at the beginning of an output names, and the size of the
// run.
type Header struct {
	Version    string           // e.g. R14.0
	Revision   string           // e.g. R14.0-515-g8a12796b62
	Parallel   lsdyna.Parallel  // "" not known
	Precision  lsdyna.Precision // "" not known
	Processors int              // CPUs or ranks; 0 not known
	Host       string
}

// Licence is what an output holds about the solver's licence.
type Licence struct {
	LicenceAsked   bool   // the solver printed which licences it looks for
	LicenceGranted bool   // the solver printed so, or works on the deck
	LicenceKind    string // ansys, network, local; "" not known
	LicenceTrouble string // first line about a licence problem; often harmless
	LicenceLost    string // newest line that says that the solver has lost it while it computes, and not got it back
	LicenceWaiting bool   // the newest line about the licence is that it is queued
}

// Progress is how far the solution has come.
type Progress struct {
	EndTime   float64 // termination time; 0 not known
	EndCycle  int64   // number of cycles that was asked for (ENDCYC, ncycle=); 0 for none, or not known
	Relaxing  bool    // a dynamic relaxation goes on: Time and Cycle are its own
	HasTime   bool    // Time and Cycle are known
	Time      float64 // problem time
	Cycle     int64
	Dt        float64 // time step
	LargestDt float64 // up to now
	Signs     int64   // lines that tell that the solution goes on: of cycles, and of implicit steps and iterations
	FinalTime bool    // Time is the closing block's Problem time
	Implicit  bool
}

// Mass is what a run with mass scaling prints of it before its first cycle. glstat has it
// later on.
type Mass struct {
	HasAddedMass     bool
	AddedMass        float64 // in the deck's unit
	AddedMassPercent float64 // of the physical mass; 0 where that is not printed
}

// Switching is what an output holds about sense switches, and what tells their effects
// from what the deck asks for.
type Switching struct {
	Flushes     int64  // progress lines that say so
	SwitchLines int64  // lines about sense switches
	SwitchLine  string // the last of them
	DumpEvery   int64  // cycles between the dumps that the deck asks for, NoDumps where it asks for none; 0 not known
}

// NoDumps is the number of cycles between dumps that LS-DYNA prints where the deck asks
// for none.
const NoDumps = 99999999

// Clock is what the dates of an output hold, by the solver's own clock.
type Clock struct {
	LastWall       int64 // seconds of the last dated line
	Rate           eta.Estimator
	HasElapsed     bool
	ElapsedSeconds int64 // of the closing block
}

// Ending is what an output holds about why and how the run ended.
type Ending struct {
	TimeReached  bool   // termination time reached
	KillFile     bool   // kill file detected
	SenseSwitch  string // the switch that ended the run, e.g. stop
	Termination  string // any other `*** termination … ***` line
	Eigenvalues  bool   // the run computes modes
	Broken       string // why the solution cannot go on, where no `*** Error` says so
	StudentLimit bool   // error 70043: more elements than the licence allows
	Banner       Banner
	PlainError   bool // "Error termination", as a solver prints it that has not begun yet
	EndBlock     bool // the closing block, and a banner after it, are there
	around.Said
}

// SolverError is one `*** Error` of the solver.
type SolverError struct {
	Code  int    `json:"code"`  // e.g. 40500; 0 where the solver prints none
	Class string `json:"class"` // KEY, STR, INI, SOL, IMP or OTH
	Text  string `json:"text"`  // the indented text below, in one line, cut at maxErrorText bytes
}

// String is the error as the solver prints it, e.g. `*** Error 40500 (SOL+500) …`.
func (e SolverError) String() string {
	text := "*** Error"
	if e.Code != 0 {
		text = fmt.Sprintf("*** Error %d", e.Code)
	}
	if e.Class != "" {
		text += fmt.Sprintf(" (%s+%d)", e.Class, e.Code%10000)
	}
	if e.Text != "" {
		text += " " + e.Text
	}
	return text
}

// Dump is a restart file as the solver printed that it wrote it.
type Dump struct {
	Name  string    `json:"name"` // d3dump01, runrsf, d3full01
	Time  float64   `json:"time"` // problem time
	Cycle int64     `json:"cycle"`
	Wall  time.Time `json:"wall"` // the solver's own clock, in its time zone, given as UTC
	// Followed is true once the solver printed anything after the dump's line,
	// so that the dump cannot be what it was writing when it died.
	Followed bool `json:"followed,omitempty"`
}

// Same reports whether two dumps are of one line of the solver. Followed is left
// out: it may have come true in between.
func (d Dump) Same(other Dump) bool {
	return d.Name == other.Name && d.Cycle == other.Cycle && d.Wall.Equal(other.Wall)
}

// reach moves the phase forward, never back.
func (f *Facts) reach(p Phase) {
	if p != f.Phase && p.order() > f.Phase.order() {
		f.Phase = p
	}
}

// onDeck notes a line that only a solver with its licence prints.
func (f *Facts) onDeck(p Phase) {
	f.LicenceGranted = true
	f.LicenceWaiting = false
	f.reach(p)
}

// afterDump notes that the solver went on after the last dump.
func (f *Facts) afterDump() {
	if n := len(f.Dumps); n > 0 {
		f.Dumps[n-1].Followed = true
	}
}

// After returns the facts of an output that was written anew, with the progress of its
// lines before, unless they are of another run.
func (f Facts) After(before Facts) Facts {
	if !f.HasTime && f.Started.IsZero() {
		return before // nothing yet: it is being written
	}
	if f.Started.IsZero() || before.Started.IsZero() || f.Started.Equal(before.Started) {
		f.Rate = eta.Merge([]eta.Estimator{before.Rate, f.Rate})
		f.Signs += before.Signs
		f.LargestDt = max(f.LargestDt, before.LargestDt)
	}
	return f
}

// clone copies everything that a reader changes in place.
func (f Facts) clone() Facts {
	f.FirstErrors = slices.Clone(f.FirstErrors)
	f.Dumps = slices.Clone(f.Dumps)
	f.Kinds = f.Kinds.Clone()
	f.Rate = f.Rate.Clone()
	return f
}
