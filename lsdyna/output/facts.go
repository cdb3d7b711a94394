// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"fmt"
	"slices"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// Bounds of what is kept of a run. Everything beyond is counted, not kept.
const (
	maxLine      = 1024 // bytes of one line that are read
	maxErrorText = 400  // bytes of an error's text
	MaxErrors    = 5    // errors kept with their text
	MaxDumps     = 64   // dumps kept, the newest
	maxFactText  = 200  // bytes of any other text
)

// Facts is what one output file holds about its last run. It can be stored as
// JSON, in which the groups of fields do not show. A zero value means that the
// file does not hold the fact.
type Facts struct {
	Runs    int       `json:"runs"`    // headers seen; the facts are those of the last
	Started time.Time `json:"started"` // the solver's own clock, in its time zone, given as UTC
	Header
	Phase Phase `json:"phase,omitempty"`
	Licence
	Progress
	Clock
	Warnings    int64         `json:"warnings,omitempty"`
	Errors      int64         `json:"errors,omitempty"`
	FirstErrors []SolverError `json:"first_errors,omitempty"`
	Dumps       []Dump        `json:"dumps,omitempty"`
	PlotStates  int64         `json:"plot_states,omitempty"` // d3plot states written, by the solver's own lines
	Ending
	MemoryWords int64  `json:"memory_words,omitempty"` // size of the static pool that the solver needed
	LastLine    string `json:"last_line,omitempty"`    // the last one that is not blank
}

// Header is what the box at the beginning of an output names, and the size of the
// run.
type Header struct {
	Version    string           `json:"version,omitempty"`    // e.g. R14.0
	Revision   string           `json:"revision,omitempty"`   // e.g. R14.0-515-g8a12796b62
	Parallel   lsdyna.Parallel  `json:"parallel,omitempty"`   // "" not known
	Precision  lsdyna.Precision `json:"precision,omitempty"`  // "" not known
	Processors int              `json:"processors,omitempty"` // CPUs or ranks; 0 not known
}

// Licence is what an output holds about the solver's licence.
type Licence struct {
	LicenceGranted bool   `json:"licence_granted,omitempty"` // the solver printed so, or works on the deck
	LicenceKind    string `json:"licence_kind,omitempty"`    // ansys, network, local; "" not known
	LicenceTrouble string `json:"licence_trouble,omitempty"` // first line about a licence problem; often harmless
	LicenceWaiting bool   `json:"licence_waiting,omitempty"` // the newest line about the licence is that it is queued
}

// Progress is how far the solution has come.
type Progress struct {
	EndTime   float64 `json:"end_time,omitempty"` // termination time; 0 not known
	HasTime   bool    `json:"has_time,omitempty"` // Time and Cycle are known
	Time      float64 `json:"time,omitempty"`     // problem time
	Cycle     int64   `json:"cycle,omitempty"`
	Dt        float64 `json:"dt,omitempty"`         // time step
	FinalTime bool    `json:"final_time,omitempty"` // Time is the closing block's Problem time
	Implicit  bool    `json:"implicit,omitempty"`
}

// Clock is what the dates of an output hold, by the solver's own clock.
type Clock struct {
	FirstWall      int64     `json:"first_wall,omitempty"` // seconds of the first and last dated line
	LastWall       int64     `json:"last_wall,omitempty"`
	FirstCycle     int64     `json:"first_cycle,omitempty"` // cycle of the first dated line
	Rate           Estimator `json:"rate"`
	HasElapsed     bool      `json:"has_elapsed,omitempty"`
	ElapsedSeconds int64     `json:"elapsed_seconds,omitempty"` // of the closing block
}

// Ending is what an output holds about why and how the run ended.
type Ending struct {
	TimeReached  bool   `json:"time_reached,omitempty"`  // termination time reached
	KillFile     bool   `json:"kill_file,omitempty"`     // kill file detected
	SenseSwitch  string `json:"sense_switch,omitempty"`  // the switch that ended the run, e.g. stop
	Termination  string `json:"termination,omitempty"`   // any other `*** termination … ***` line
	Crash        string `json:"crash,omitempty"`         // a line of the Fortran runtime or of mpirun about a signal or a crash
	StudentLimit bool   `json:"student_limit,omitempty"` // error 70043: more elements than the licence allows
	Banner       Banner `json:"banner,omitempty"`
	EndBlock     bool   `json:"end_block,omitempty"` // the closing block, and a banner after it, are there
}

// SolverError is one `*** Error` of the solver.
type SolverError struct {
	Code  int    `json:"code"`  // e.g. 40500
	Class string `json:"class"` // KEY, STR, INI, SOL, IMP or OTH
	Text  string `json:"text"`  // the indented text below, in one line, cut at maxErrorText bytes
}

// String is the error as the solver prints it, e.g. `*** Error 40500 (SOL+500) …`.
func (e SolverError) String() string {
	text := fmt.Sprintf("*** Error %d", e.Code)
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

// clone copies everything that a reader changes in place.
func (f Facts) clone() Facts {
	f.FirstErrors = slices.Clone(f.FirstErrors)
	f.Dumps = slices.Clone(f.Dumps)
	f.Rate = f.Rate.clone()
	return f
}
