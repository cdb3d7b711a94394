// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package health tells how a run does while it runs: its energies, added mass, time step,
// silence, most frequent warnings, and which rank failed first. It touches nothing.
package health

import (
	"fmt"
	"math"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/glstat"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/tally"
)

// What is in the order of things. The sources of most are rules of thumb of the field.
const (
	MostRatio     = 1.1  // of the energy ratio: above it energy comes from nothing
	LeastRatio    = 0.9  // below it much is lost, or not counted (HGEN, RWEN, SLNTEN, RYLEN of *CONTROL_ENERGY)
	MostHourglass = 10.0 // per cent of the largest internal energy
	MostMass      = 5.0  // added, per cent of the physical mass
	LeastDtShare  = 0.1  // of its largest time step, of an explicit run

	// MostQuiet is for how long a run may print nothing: real runs did for up to 2032 s.
	MostQuiet = 35 * time.Minute

	// leastInternal is which part of the largest total energy the internal energy must have
	// had for the hourglass energy to be compared with it: of a body that has hit nothing
	// yet both are noise.
	leastInternal = 0.01
	// mostKinds is how many kinds of warnings are named.
	mostKinds = 5
)

// Facts is what the outputs of a run tell of its health.
type Facts struct {
	Solving  bool // its cycles run
	Ended    bool
	Implicit bool
	HasTime  bool
	Time     float64 // problem time

	Dt, LargestDt float64 // of the progress lines; 0 not known
	Energies      *glstat.Stats
	HasMass       bool
	AddedMass     float64 // before the first cycle
	MassPercent   float64

	Warnings tally.Tally
	Ends     []string // what launchers and the solver say of a rank that failed, the first first
}

// Health is how a run does. What is not known is null. Energies, masses and times have the
// units of the deck.
type Health struct {
	Quiet            *float64     `json:"quiet_seconds"` // since something was written to its outputs; of a run that solves
	Time             *float64     `json:"energies_time"` // problem time of the energies
	Kinetic          *float64     `json:"kinetic_energy"`
	Internal         *float64     `json:"internal_energy"`
	Total            *float64     `json:"total_energy"`
	Hourglass        *float64     `json:"hourglass_energy"`
	Ratio            *float64     `json:"energy_ratio"`      // total energy / (initial energy + external work)
	HourglassPercent *float64     `json:"hourglass_percent"` // of the largest internal energy up to now
	AddedMass        *float64     `json:"added_mass"`
	MassPercent      *float64     `json:"added_mass_percent"` // of the physical mass
	Dt               *float64     `json:"time_step"`
	LargestDt        *float64     `json:"largest_time_step"`       // up to now
	Controls         *string      `json:"time_step_controlled_by"` // e.g. "shell 4711 of part 12"
	Missing          *string      `json:"energies_missing"`        // why there are no energies
	Kinds            []tally.Kind `json:"frequent_warnings"`       // the most frequent kinds, at most 5
	Failed           *Failure     `json:"failed_first"`            // of an MPP run: which rank ended first
	Notes            []string     `json:"notes"`                   // what is out of the ordinary, in words
}

// Of tells how a run does. quiet is for how long nothing was written to its outputs; nil
// where that is not known.
func Of(f *Facts, quiet *time.Duration) Health {
	h := Health{Kinds: f.Warnings.Top(mostKinds), Failed: firstFailure(f.Ends), Notes: []string{}}
	if quiet != nil && f.Solving {
		seconds := math.Round(max(*quiet, 0).Seconds())
		h.Quiet = &seconds
		if *quiet > MostQuiet {
			h.note("nothing new in its outputs for %s", quiet.Round(time.Minute))
		}
	}
	if h.Kinds == nil {
		h.Kinds = []tally.Kind{}
	}
	h.addEnergies(f)
	h.addDt(f)
	h.addMass(f)
	if h.Failed != nil {
		h.note("failed first: %s", h.Failed)
	}
	return h
}

func (h *Health) note(format string, args ...any) {
	h.Notes = append(h.Notes, fmt.Sprintf(format, args...))
}

// noEnergies is why a run has no energies although it solves.
const noEnergies = "there is no ASCII glstat: the deck asks for none (*DATABASE_GLSTAT), or for a binary one (its BINARY = 3 has both written)"

func (h *Health) addEnergies(f *Facts) {
	e := f.Energies
	if e == nil {
		if f.Solving || f.Ended && f.HasTime {
			missing := noEnergies
			h.Missing = &missing
		}
		return
	}
	h.Time = finite(e.Last.Time, true)
	for q, to := range map[glstat.Quantity]**float64{glstat.Kinetic: &h.Kinetic, glstat.Internal: &h.Internal, glstat.Total: &h.Total, glstat.Hourglass: &h.Hourglass, glstat.Ratio: &h.Ratio} {
		p, ok := e.Value(q)
		*to = finite(p.Value, ok)
	}
	switch ratio, ok := e.Value(glstat.Ratio); {
	case ok && h.Ratio == nil:
		h.note("the energy ratio at t = %.4g is no number", ratio.Time)
	case ok && (ratio.Value > MostRatio || ratio.Value < LeastRatio):
		h.note("energy ratio %s at t = %.4g", Digits(ratio.Value), ratio.Time)
	}
	if p, ok := HourglassPercent(e); ok {
		h.HourglassPercent = finite(p.Value, true)
		if p.Value > MostHourglass {
			h.note("hourglass energy is %s %% of the internal energy at t = %.4g", Digits(p.Value), p.Time)
		}
	}
}

// HourglassPercent is the hourglass energy in per cent of the largest internal energy up to
// now; false where the one is not written (HGEN = 2 of *CONTROL_ENERGY has it written),
// or the other is too small to compare with.
func HourglassPercent(e *glstat.Stats) (p glstat.Point, ok bool) {
	p, ok = e.Value(glstat.Hourglass)
	if !ok || !(e.LargestInternal > 0) || e.LargestInternal < leastInternal*e.LargestTotal {
		return glstat.Point{}, false
	}
	p.Value = 100 * math.Abs(p.Value) / e.LargestInternal
	return p, true
}

func (h *Health) addDt(f *Facts) {
	dt, largest := Dt(f)
	h.Dt, h.LargestDt = finite(dt, dt > 0), finite(largest, largest > 0)
	by := ""
	if f.Energies != nil && f.Energies.Controls != "" {
		h.Controls = &f.Energies.Controls
		by = ", controlled by " + f.Energies.Controls
	}
	if dt > 0 && dt < LeastDtShare*largest && !f.Implicit && !f.Ended {
		h.note("time step has fallen to %.3g, from %.3g%s", dt, largest, by)
	}
}

// Dt is the newest time step and the largest one up to now; 0 where they are not known.
func Dt(f *Facts) (dt, largest float64) {
	dt, largest = f.Dt, max(f.LargestDt, f.Dt)
	if e := f.Energies; e != nil {
		largest = max(largest, e.LargestDt)
		if p, ok := e.Value(glstat.Dt); dt == 0 && ok && p.Value > 0 {
			dt = p.Value
		}
	}
	return dt, largest
}

func (h *Health) addMass(f *Facts) {
	if p, ok := f.Energies.Value(glstat.AddedMass); ok {
		h.AddedMass = finite(p.Value, true)
	} else {
		h.AddedMass = finite(f.AddedMass, f.HasMass)
	}
	p, ok := MassPercent(f)
	h.MassPercent = finite(p.Value, ok)
	if ok && p.Value > MostMass {
		h.note("added mass is %s %% of the physical mass at t = %.4g", Digits(p.Value), p.Time)
	}
}

// MassPercent is the added mass in per cent of the physical mass, by glstat or, where that
// does not tell it, as printed before the first cycle.
func MassPercent(f *Facts) (p glstat.Point, ok bool) {
	if p, ok := f.Energies.Value(glstat.AddedMassPercent); ok {
		return p, true
	}
	return glstat.Point{Value: f.MassPercent}, f.HasMass
}

// Digits prints a number with three digits.
func Digits(v float64) string { return fmt.Sprintf("%.3g", v) }

// finite is nil for what is not known, and for what JSON cannot hold.
func finite(v float64, known bool) *float64 {
	if !known || math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
