// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watchdog

import (
	"encoding/json"
	"time"
)

// Action is what is done when a bound is passed, beside an event that tells it.
type Action string

// The actions.
const (
	Event Action = "event" // nothing
	Dump  Action = "dump"  // the solver is to write a dump, and to go on
	Stop  Action = "stop"  // the run is stopped, dump first, and its task fails
)

// Bounds are what a run must not pass. A zero value is no bound.
type Bounds struct {
	EnergyRatio float64       `json:"energy_ratio,omitempty"`       // at most; below 1 energy is lost or not counted, which is no fault
	AddedMass   float64       `json:"added_mass_percent,omitempty"` // at most, of the physical mass
	Hourglass   float64       `json:"hourglass_percent,omitempty"`  // at most, of the largest internal energy up to now
	DtMin       float64       `json:"dt_min,omitempty"`             // time step, at least, in the deck's unit
	Silence     time.Duration `json:"silence_ns,omitempty"`         // without anything that tells that the solution goes on
	Action      Action        `json:"action,omitempty"`
}

// None reports whether there is no bound.
func (b Bounds) None() bool {
	b.Action = ""
	return b == Bounds{}
}

// ofEnergies reports whether there is a bound that only global statistics can tell of.
func (b Bounds) ofEnergies() bool { return b.EnergyRatio > 0 || b.Hourglass > 0 }

// Encode is the bounds as a run's details keep them; nil for none.
func (b Bounds) Encode() json.RawMessage {
	if b.None() {
		return nil
	}
	data, _ := json.Marshal(b) // plain fields, and finite numbers
	return data
}

// Decode reads what Encode made. What cannot be read is no bound.
func Decode(data json.RawMessage) Bounds {
	var b Bounds
	if len(data) == 0 || json.Unmarshal(data, &b) != nil {
		return Bounds{}
	}
	return b
}
