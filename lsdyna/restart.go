// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"context"
	"errors"
	"time"
)

// Identity is what a dump depends on: a dump continues only with the same
// deck, executable, precision and number of processors.
type Identity struct {
	Deck       string    `json:"deck"`   // hash of the input deck
	Solver     string    `json:"solver"` // path, size and time of the executable
	Parallel   Parallel  `json:"parallel"`
	Precision  Precision `json:"precision"`
	Processors int       `json:"processors"`
	JobID      string    `json:"jobid,omitempty"`
}

// NewIdentity reads the deck and the executable.
func NewIdentity(folder *RunFolder, s Solver, o RunOptions) (Identity, error) {
	return Identity{}, errors.New("not built yet")
}

// RestartSelect names the newest complete dump in the folder that belongs to a
// run with the recorded identity. When there is none, name is empty and why
// says the reason in one line.
func RestartSelect(folder *RunFolder, recorded, wanted Identity, exclude []string) (name, why string, err error) {
	return "", "", errors.New("not built yet")
}

// DumpState is how far a dump has come.
type DumpState struct {
	Name     string
	Said     bool // the solver printed the line
	Exists   bool // a regular file with content is there
	Complete bool // said, there, newer than asked for, and its size stands still
	Size     int64
}

// VerifyDump waits until a dump written after since is complete, or ctx ends.
// The snapshot function gives the run as it is now, e.g. Follower.Poll.
func VerifyDump(ctx context.Context, folder *RunFolder, since time.Time, before []Dump, snapshot func() (Snapshot, error)) (DumpState, error) {
	return DumpState{}, errors.New("not built yet")
}
