// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watchdog

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/glstat"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/health"
)

// Passing is a bound that was passed.
type Passing struct {
	Text  string // the value, the bound and the time of the run: "energy ratio 1.23 > 1.1 at t = 0.0123"
	Model bool   // it is the model's doing: a run that goes on from its dump would pass it again
}

// Watchdog watches one run. It is not safe for concurrent use.
type Watchdog struct {
	bounds Bounds
	state  state

	looked  time.Time     // of the last look, by the monotonic clock
	solving time.Duration // for which it was seen to solve
	changed bool
	lost    bool          // the last state could not be kept
	noted   time.Duration // of the silence, when the state was taken last
}

// state is what outlives the process: what was told is not told anew.
type state struct {
	Told  []string      `json:"told,omitempty"` // bounds that were passed, and not recovered from since
	Quiet time.Duration `json:"quiet_ns,omitempty"`
	Time  float64       `json:"time"` // problem time and cycle at which it is quiet
	Cycle int64         `json:"cycle"`
	Blind bool          `json:"blind,omitempty"` // that there are no energies was told

	signs int64 // of this process
	known bool
}

// New makes a watchdog. kept is what a process before this one took with State; nil for
// nothing.
func New(b Bounds, kept json.RawMessage) *Watchdog {
	w := &Watchdog{bounds: b}
	if len(kept) > 0 && json.Unmarshal(kept, &w.state) != nil {
		w.state = state{}
	}
	w.noted = w.state.Quiet
	if b.Action == Stop {
		w.state.Told = nil // a process that was killed before it could have the run stopped has told them
	}
	return w
}

// Action is what is to be done when a bound is passed.
func (w *Watchdog) Action() Action { return w.bounds.Action }

// State returns what the next process needs, when that has changed since the last call.
func (w *Watchdog) State() (data json.RawMessage, changed bool) {
	if !w.changed {
		return nil, false
	}
	w.changed, w.noted = false, w.state.Quiet
	data, _ = json.Marshal(w.state) // plain fields, and a time that look takes only where it is finite
	return data, true
}

// NotKept has State return the state once more: it could not be kept. It reports whether
// that is new.
func (w *Watchdog) NotKept() bool {
	first := !w.lost
	w.changed, w.lost = true, true
	return first
}

// Kept takes NotKept back.
func (w *Watchdog) Kept() { w.lost = false }

// mostGap is how much of the time between two looks counts as silence. While the run
// folder does not answer nobody knows whether the run is silent.
const mostGap = time.Minute

// blindAfter is how long a run must have solved without global statistics until that is
// told.
const blindAfter = 10 * time.Minute

// Look takes what the outputs tell. at is when they were read, by the monotonic clock,
// which stands still while the machine is suspended. passed are the bounds that the run
// has passed and had not passed in the look before; note is what else is to be told, or "".
func (w *Watchdog) Look(s *output.Snapshot, at time.Time) (passed []Passing, note string) {
	if s.Phase != output.PhaseSolving || w.bounds.None() {
		w.looked = at
		return nil, ""
	}
	gap := time.Duration(0)
	if !w.looked.IsZero() {
		gap = min(max(at.Sub(w.looked), 0), mostGap)
	}
	w.looked = at
	w.solving += gap
	w.listen(s, gap)
	f := s.HealthFacts()
	for _, m := range w.measures(f) {
		if m.known && w.passes(&m) {
			passed = append(passed, Passing{Text: m.text, Model: m.name != silence})
		}
	}
	if f.Energies == nil && w.bounds.ofEnergies() && w.solving >= blindAfter && !w.state.Blind {
		w.state.Blind, w.changed = true, true
		note = "no energies to watch: there is no ASCII glstat. The deck needs *DATABASE_GLSTAT with a time and, where it is written binary (binout), BINARY = 3"
	}
	return passed, note
}

// listen adds to the silence, or ends it. A licence that is lost is waited for.
func (w *Watchdog) listen(s *output.Snapshot, gap time.Duration) {
	was := &w.state
	moved := s.Time != was.Time || s.Cycle != was.Cycle
	if was.known {
		moved = moved || s.Signs != was.signs
	}
	was.signs, was.known = s.Signs, true
	switch {
	case moved:
		if was.Quiet > 0 && w.noted > 0 {
			w.changed = true
		}
		was.Quiet = 0
		if isFinite(s.Time) {
			was.Time, was.Cycle = s.Time, s.Cycle
		}
	case !s.LicenceWaiting:
		was.Quiet += gap
	}
	if step := w.bounds.Silence / 8; step > 0 && was.Quiet-w.noted >= step {
		w.changed = true
	}
}

// Names of the bounds, as a job writes them.
const (
	energyRatio = "energy_ratio"
	addedMass   = "added_mass"
	hourglass   = "hourglass"
	dtMin       = "dt_min"
	silence     = "silence"
)

// measure is a value beside its bound.
type measure struct {
	name     string
	known    bool
	over     bool // it has passed its bound
	recovers bool // it is so far on the good side again that it may be told anew
	text     string
}

// slack is which part of its way from ordinary to the bound a value must have gone back
// to be told anew: one that trembles around the bound is told once.
const slack = 0.1

// measures are the values that have a bound.
func (w *Watchdog) measures(f *health.Facts) []measure {
	b := w.bounds
	var all []measure
	if b.EnergyRatio > 0 {
		p, ok := f.Energies.Value(glstat.Ratio)
		m := above(energyRatio, p, b.EnergyRatio, 1)
		m.known, m.text = ok, fmt.Sprintf("energy ratio %s > %s at t = %.4g", health.Digits(p.Value), number(b.EnergyRatio), p.Time)
		all = append(all, m)
	}
	if b.AddedMass > 0 {
		p, ok := health.MassPercent(f)
		m := above(addedMass, p, b.AddedMass, 0)
		m.known, m.text = ok, fmt.Sprintf("added mass %s%% > %s%% of the physical mass at t = %.4g", health.Digits(p.Value), number(b.AddedMass), p.Time)
		all = append(all, m)
	}
	if b.Hourglass > 0 && f.Energies != nil {
		p, ok := health.HourglassPercent(f.Energies)
		m := above(hourglass, p, b.Hourglass, 0)
		m.known, m.text = ok, fmt.Sprintf("hourglass energy %s%% > %s%% of the internal energy at t = %.4g", health.Digits(p.Value), number(b.Hourglass), p.Time)
		all = append(all, m)
	}
	if b.DtMin > 0 {
		dt, _ := health.Dt(f)
		m := measure{name: dtMin, known: dt > 0, over: dt < b.DtMin, recovers: dt >= b.DtMin*(1+slack)}
		m.text = fmt.Sprintf("time step %s < %s at t = %.4g", health.Digits(dt), number(b.DtMin), f.Time)
		if f.Energies != nil && f.Energies.Controls != "" {
			m.text += ", controlled by " + f.Energies.Controls
		}
		all = append(all, m)
	}
	if b.Silence > 0 {
		quiet := w.state.Quiet
		all = append(all, measure{
			name: silence, known: true, over: quiet > b.Silence, recovers: quiet == 0,
			text: fmt.Sprintf("silence for %s > %s at t = %.4g", quiet.Round(time.Second), b.Silence, f.Time),
		})
	}
	return all
}

// above compares a value with what it must not be above. What is no number is.
func above(name string, p glstat.Point, bound, ordinary float64) measure {
	return measure{
		name: name, over: p.Value > bound || math.IsNaN(p.Value), recovers: p.Value <= bound-slack*(bound-ordinary),
	}
}

// passes reports whether a measure has passed its bound and that was not told yet.
func (w *Watchdog) passes(m *measure) bool {
	i := slices.Index(w.state.Told, m.name)
	switch {
	case m.over && i < 0:
		w.state.Told, w.changed = append(w.state.Told, m.name), true
		return true
	case m.recovers && i >= 0:
		w.state.Told, w.changed = slices.Delete(w.state.Told, i, i+1), true
	}
	return false
}

// number prints a bound as a job writes it.
func number(v float64) string { return fmt.Sprintf("%.6g", v) }

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
