// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// StopVersion is the version of Stop that this plugin writes.
const StopVersion = 1

// Stop is stop.json: a stop that was begun. A plugin that dies in the middle of
// it leaves it to its successor, because Nomad may take the task for ended.
type Stop struct {
	Version  int             `json:"version"`
	Began    time.Time       `json:"began"`
	Deadline time.Time       `json:"deadline"`            // when everything is killed
	Signal   string          `json:"signal"`              // follows the sense switch
	LastDump json.RawMessage `json:"last_dump,omitempty"` // newest dump before the stop (package lsdyna)
	Cause    json.RawMessage `json:"cause,omitempty"`     // why the driver itself stops the run (package driver); nothing where somebody else does
}

// maxStop bounds what is read back, in bytes.
const maxStop = 64 << 10

// WriteStop writes stop.json whole.
func (r *Record) WriteStop(s Stop) error {
	s.Version = StopVersion
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode stop.json: %w", err)
	}
	return durable.WriteFile(r.path(durable.StopFile), data)
}

// ReadStop reads stop.json; os.ErrNotExist where no stop was begun.
func (r *Record) ReadStop() (Stop, error) {
	data, err := durable.ReadFile(r.path(durable.StopFile), maxStop)
	if err != nil {
		return Stop{}, fmt.Errorf("read record: %w", err)
	}
	var s Stop
	if err := json.Unmarshal(data, &s); err != nil {
		return Stop{}, fmt.Errorf("read record %s: %w", r.path(durable.StopFile), err)
	}
	if s.Version > StopVersion {
		return Stop{}, fmt.Errorf("stop.json of version %d %w", s.Version, ErrNewer)
	}
	return s, nil
}
