// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"fmt"
	"slices"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// Same compares what was printed; Followed may have come true since.
func (d Dump) Same(other Dump) bool {
	return d.Name == other.Name && d.Cycle == other.Cycle && d.Wall.Equal(other.Wall)
}

// Banner is the last line that LS-DYNA prints about a run.
type Banner string

// The banners.
const (
	NoBanner     Banner = ""
	NormalBanner Banner = "normal"
	ErrorBanner  Banner = "error"
)

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

// Dump is a restart file that the solver said it wrote.
type Dump struct {
	Name  string    `json:"name"` // d3dump01, runrsf, d3full01
	Time  float64   `json:"time"` // problem time
	Cycle int64     `json:"cycle"`
	Wall  time.Time `json:"wall"` // the solver's own clock, in its time zone, given as UTC
	// Followed is true once the solver printed anything after the dump's line,
	// so that the dump cannot be what it was writing when it died.
	Followed bool `json:"followed,omitempty"`
}

// Bounds of what is kept of a run. Everything beyond is counted, not kept.
const (
	maxLine      = 1024 // bytes of one line that are looked at
	maxErrorText = 400  // bytes of an error's text
	MaxErrors    = 5    // errors kept with their text
	MaxDumps     = 64   // dumps kept, the newest
	maxFactText  = 200  // bytes of any other text
)

// Facts is what one output file says about its last run. It can be stored as
// JSON. A zero value stands for "not said".
type Facts struct {
	Runs     int       `json:"runs"`    // headers seen; facts are those of the last
	Started  time.Time `json:"started"` // the solver's own clock, in its time zone, given as UTC
	Version  string    `json:"version,omitempty"`
	Revision string    `json:"revision,omitempty"`

	Parallel   lsdyna.Parallel  `json:"parallel,omitempty"`
	Precision  lsdyna.Precision `json:"precision,omitempty"`
	Processors int              `json:"processors,omitempty"`

	Phase          Phase  `json:"phase,omitempty"`
	LicenceGranted bool   `json:"licence_granted,omitempty"`
	LicenceKind    string `json:"licence_kind,omitempty"`
	LicenceTrouble string `json:"licence_trouble,omitempty"`
	LicenceWaiting bool   `json:"licence_waiting,omitempty"`

	EndTime     float64   `json:"end_time,omitempty"`
	HasTime     bool      `json:"has_time,omitempty"`
	Time        float64   `json:"time,omitempty"`
	Cycle       int64     `json:"cycle,omitempty"`
	Dt          float64   `json:"dt,omitempty"`
	FinalTime   bool      `json:"final_time,omitempty"` // Time is the closing block's Problem time
	FirstWall   int64     `json:"first_wall,omitempty"` // seconds of the first and last dated line
	LastWall    int64     `json:"last_wall,omitempty"`
	FirstCycle  int64     `json:"first_cycle,omitempty"`
	MemoryWords int64     `json:"memory_words,omitempty"`
	Rate        Estimator `json:"rate"`
	Implicit    bool      `json:"implicit,omitempty"`

	Warnings    int64         `json:"warnings,omitempty"`
	Errors      int64         `json:"errors,omitempty"`
	FirstErrors []SolverError `json:"first_errors,omitempty"`
	Dumps       []Dump        `json:"dumps,omitempty"`
	PlotStates  int64         `json:"plot_states,omitempty"` // d3plot states the solver said it wrote

	TimeReached    bool   `json:"time_reached,omitempty"`
	KillFile       bool   `json:"kill_file,omitempty"`
	SenseSwitch    string `json:"sense_switch,omitempty"`
	Termination    string `json:"termination,omitempty"`
	Crash          string `json:"crash,omitempty"`
	StudentLimit   bool   `json:"student_limit,omitempty"`
	Banner         Banner `json:"banner,omitempty"`
	HasElapsed     bool   `json:"has_elapsed,omitempty"`
	ElapsedSeconds int64  `json:"elapsed_seconds,omitempty"`
	EndBlock       bool   `json:"end_block,omitempty"`
	LastLine       string `json:"last_line,omitempty"` // the last one with text in it
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
