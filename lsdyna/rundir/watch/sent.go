// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watch

import (
	"math"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/killfile"
)

// effectPatience is how long after a switch was taken its effect is waited for.
const effectPatience = 10 * time.Minute

// A solver looks at d3kil about every 100 cycles of an explicit run and at each step of an
// implicit one. When it has made so many it has looked some times.
const (
	passedCycles = 1000
	passedSteps  = 10
)

// quickest is the shortest time between two looks for the effect of a switch.
const quickest = 10 * time.Millisecond

// settling is how long after a switch was taken whose effect no output shows it is
// waited for what the solver prints of it.
const settling = 2 * time.Second

// Marks are what the outputs held when a sense switch was asked for.
type Marks struct {
	Plots   int64 `json:"plots"`   // plot states
	Flushes int64 `json:"flushes"` // of the output buffers
	Lines   int64 `json:"lines"`   // about sense switches
	Cycle   int64 `json:"cycle"`

	EndTime float64 `json:"end_time,omitempty"` // where the run was to end; 0 not known
}

// MarksOf is what the outputs hold now.
func MarksOf(s output.Snapshot) Marks {
	return Marks{Plots: s.PlotStates, Flushes: s.Flushes, Lines: s.SwitchLines, Cycle: s.Cycle, EndTime: s.EndTime}
}

// SwitchView is what is known of a sense switch that was sent.
type SwitchView struct {
	Switch   lsdyna.Switch
	Asked    time.Time
	Before   *output.Dump // the newest dump then
	Marks    Marks        // what else there was then
	Taken    time.Time    // when the solver took it; zero: not yet
	Kept     bool         // the solver left d3kil, which was removed then
	Replaced bool         // one that ends the run took its place before the solver took it
	Dump     rundir.DumpState
	Unpruned string  // why no older checkpoint was removed
	Plot     bool    // a plot state was written since, at
	PlotTime float64 // this problem time
	Seen     bool    // another effect, or all that is to be seen of it
	Said     string  // what the solver printed of it
	GivenUp  bool    // nothing was seen of it, and nothing will
	Ended    bool    // the run is over: nothing more comes
}

// Name is the switch as users write it.
func (v *SwitchView) Name() string { return v.Switch.Word() }

// Since is from when the time of its effect counts.
func (v *SwitchView) Since() time.Time {
	if v.Taken.IsZero() {
		return v.Asked
	}
	return v.Taken
}

// sentSwitch is a sense switch from its writing until its effect is there.
type sentSwitch struct {
	view       SwitchView
	watch      rundir.DumpWatch
	checkpoint int  // how many are kept; 0: it is none
	found      bool // it lay in the folder, and nobody here has sent it
	started    bool // its dump was begun, by its file
	dumps      []rundir.AskedDump
}

func (s *sentSwitch) copyView() *SwitchView {
	if s == nil {
		return nil
	}
	v := s.view
	return &v
}

func (s *sentSwitch) done() bool { return s.view.Done() }

// Done reports whether there is nothing more to wait for.
func (v *SwitchView) Done() bool {
	return v.Ended || v.Dump.Complete || v.Plot || v.Seen || v.GivenUp || v.Replaced
}

// lies reports whether the switch itself lies in the folder, and whether any does.
func (s *sentSwitch) lies(f *rundir.Folder) (itself, some bool, err error) {
	sw, there, err := killfile.Read(f)
	return there && sw.Name == s.view.Switch.Name, there, err
}

// pause is how long to wait before the next look. A solver that leaves d3kil obeys it
// once more when it looks again, which is at the earliest as long after the first time
// as that came after the writing.
func (s *sentSwitch) pause(usual time.Duration) time.Duration {
	v := &s.view
	switch {
	case s.done():
		return usual
	case v.Switch.Terminates, !v.Taken.IsZero() && time.Since(v.Taken) < switchHaste:
		return min(switchInterval, usual)
	case v.Taken.IsZero():
		return min(max(time.Since(v.Asked)/8, quickest), usual)
	}
	return usual
}

// comesAfter takes the dump of the switch before it for that one's.
func (s *sentSwitch) comesAfter(former *sentSwitch) {
	d := former.view.Dump
	if s == nil || !d.Said || former.view.Replaced {
		return
	}
	if last := s.watch.Last; last == nil && former.view.Before == nil || last != nil && former.view.Before != nil && last.Same(*former.view.Before) {
		s.watch.Last = &d.Dump
	}
}

// look takes what the outputs show beside a dump.
func (s *sentSwitch) look(now output.Snapshot, ended bool) {
	v := &s.view
	if now.SwitchLines > v.Marks.Lines {
		v.Said = now.SwitchLine
	}
	v.PlotTime = now.Time
	v.Plot = !v.Switch.Dumps && !v.Switch.Terminates && !v.Replaced && now.PlotStates > v.Marks.Plots && isPlot(v.Switch)
	v.Ended = ended
	begun, waited := s.started || hasBegun(v.Switch, v.Before, v.Marks, now), time.Duration(0)
	if !v.Taken.IsZero() {
		waited = time.Since(v.Taken)
	}
	switch {
	case v.Switch.Terminates, v.Replaced:
	case v.Switch.Dumps, isPlot(v.Switch):
		refused := v.Kept || strings.Contains(v.Said, "not recogni")
		v.GivenUp = refused && !begun || waited > effectPatience && !v.Dump.Growing
	default:
		v.Seen = begun || waited > settling
	}
}

// isPassed reports whether the solver has looked at the switch for sure, and has left it.
func (s *sentSwitch) isPassed(now output.Snapshot) bool {
	enough := int64(passedCycles)
	if now.Implicit {
		enough = passedSteps
	}
	if now.Cycle-s.view.Marks.Cycle < enough {
		return false
	}
	return !s.view.Switch.Dumps && !isPlot(s.view.Switch) || time.Since(s.view.Asked) > effectPatience
}

// allDumps are those of the switch, when the first of them is complete. A solver that
// leaves d3kil may have written several.
func (s *sentSwitch) allDumps(f *rundir.Folder, now output.Snapshot) []rundir.AskedDump {
	first := s.view.Dump
	list := []rundir.AskedDump{asked(first.Dump, first.Files, s.checkpoint > 0)}
	found, err := f.AllDumps()
	if !s.view.Kept || err != nil {
		return list
	}
	for _, d := range now.DumpsAfter(&first.Dump) {
		if files, ok := rundir.NewestDump(found, d.Name); ok && files.Name != first.Files.Name {
			list = append(list, asked(d, files, s.checkpoint > 0))
		}
	}
	return list
}

func asked(d output.Dump, files rundir.DumpFiles, checkpoint bool) rundir.AskedDump {
	return rundir.AskedDump{
		WholeDump: rundir.WholeDump{Dump: d, Bytes: files.Bytes}, File: files.Name, ModTime: files.ModTime.UTC(), Checkpoint: checkpoint,
	}
}

func isPlot(sw lsdyna.Switch) bool { return sw.Name == "sw4." }

// hasBegun reports whether the outputs show an effect of a switch that came after it was
// asked for.
func hasBegun(sw lsdyna.Switch, before *output.Dump, marks Marks, now output.Snapshot) bool {
	if end, ok := sw.EndTime(); ok {
		const printed = 1e-3                                                            // of it: three digits behind the point
		return math.Abs(now.EndTime-end) <= printed*end && now.EndTime != marks.EndTime // it may have been nearly that before
	}
	switch {
	case sw.Dumps:
		return len(now.DumpsAfter(before)) > 0
	case isPlot(sw):
		return now.PlotStates > marks.Plots
	case sw.Name == "swa.":
		return now.Flushes > marks.Flushes
	}
	return now.SwitchLines > marks.Lines
}
