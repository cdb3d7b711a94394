// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// SwitchesVersion is the version of Switches that this plugin writes.
const SwitchesVersion = 1

// Switches is switches.json: the sense switches of a run that goes on. A plugin that dies
// before their effect is there leaves them to its successor.
type Switches struct {
	Version     int      `json:"version"`
	Waiting     []Switch `json:"waiting"`               // the first may lie in the run folder
	Checkpoints int      `json:"checkpoints,omitempty"` // that were written so far
}

// Switch is a sense switch that was asked for, and of which it was not told yet what came
// of it.
type Switch struct {
	Name       string          `json:"name"`
	Asked      time.Time       `json:"asked"`
	Checkpoint bool            `json:"checkpoint,omitempty"` // by the job's interval, not by an operator
	Step       SwitchStep      `json:"step,omitempty"`
	Before     json.RawMessage `json:"before,omitempty"` // what the outputs held before it (package lsdyna)
}

// SwitchStep is how far a sense switch has come.
type SwitchStep string

// The steps.
const (
	SwitchQueued  SwitchStep = ""        // others come before it
	SwitchSending SwitchStep = "sending" // it may lie in the run folder
	SwitchSent    SwitchStep = "sent"    // it lay there
)

// maxSwitches bounds what is read back, in bytes.
const maxSwitches = 64 << 10

// WriteSwitches writes switches.json whole.
func (r *Record) WriteSwitches(s Switches) error {
	s.Version = SwitchesVersion
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode switches.json: %w", err)
	}
	return durable.WriteFile(r.path(durable.SwitchesFile), data)
}

// ReadSwitches reads switches.json; os.ErrNotExist where none was ever asked for.
func (r *Record) ReadSwitches() (Switches, error) {
	data, err := durable.ReadFile(r.path(durable.SwitchesFile), maxSwitches)
	if err != nil {
		return Switches{}, fmt.Errorf("read record: %w", err)
	}
	var s Switches
	if err := json.Unmarshal(data, &s); err != nil {
		return Switches{}, fmt.Errorf("read record %s: %w", r.path(durable.SwitchesFile), err)
	}
	if s.Version > SwitchesVersion {
		return Switches{}, fmt.Errorf("switches.json of version %d %w", s.Version, ErrNewer)
	}
	return s, nil
}
