// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package keeper keeps what is known of a run in its record, which may not be usable yet.
package keeper

import (
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// Keeper is where what is known of a run is kept. A run that Nomad hands over while
// state_dir cannot be used has no record until Manage brings it: what Nomad's driver
// state tells of it is enough to watch it, to signal it and to stop it with a dump.
type Keeper struct {
	record atomic.Pointer[state.Record]
	there  chan struct{} // closed when record is set
}

// ErrUnmanaged is the error of what needs the record of a run that has none yet.
var ErrUnmanaged = errors.New("the run's record cannot be used yet")

// Init makes it; r is nil where there is no record yet.
func (k *Keeper) Init(r *state.Record) {
	k.there = make(chan struct{})
	if r != nil {
		k.Keep(r)
	}
}

// Keep sets the record. It must be called once at most.
func (k *Keeper) Keep(r *state.Record) {
	k.record.Store(r)
	close(k.there)
}

// There is closed when the record is there.
func (k *Keeper) There() <-chan struct{} { return k.there }

// Record returns the run's record, nil while it cannot be used.
func (k *Keeper) Record() *state.Record { return k.record.Load() }

// ReadStop returns the stop that was begun.
func (k *Keeper) ReadStop() (state.Stop, error) {
	if r := k.Record(); r != nil {
		return r.ReadStop()
	}
	return state.Stop{}, ErrUnmanaged
}

// WriteStop records a stop.
func (k *Keeper) WriteStop(s state.Stop) error {
	if r := k.Record(); r != nil {
		return r.WriteStop(s)
	}
	return ErrUnmanaged
}

// ReadWatch returns what the last process that watched the run's health knew; nil for
// nothing.
func (k *Keeper) ReadWatch() json.RawMessage {
	if r := k.Record(); r != nil {
		return r.ReadWatch()
	}
	return nil
}

// WriteWatch records what a process that watches the run's health leaves to the next one.
func (k *Keeper) WriteWatch(data json.RawMessage) error {
	if r := k.Record(); r != nil {
		return r.WriteWatch(data)
	}
	return ErrUnmanaged
}

// NoteUnclaimed notes that Nomad does not ask for the run.
func (k *Keeper) NoteUnclaimed(since time.Time) error {
	if r := k.Record(); r != nil {
		return r.WriteUnclaimed(since)
	}
	return ErrUnmanaged
}

// NoteClaimed takes back what NoteUnclaimed noted.
func (k *Keeper) NoteClaimed() error {
	if r := k.Record(); r != nil {
		return r.Claimed()
	}
	return nil
}
