// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package identity is what tells a run from another one as far as its restart files are
// concerned: a solver goes on from a dump only with the same deck, executable, precision
// and processors.
package identity

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
)

// Identity is what a dump depends on: it continues only with the same deck,
// executable, precision and number of processors.
type Identity struct {
	Deck       string           `json:"deck"`   // its hash (package deck)
	Solver     string           `json:"solver"` // name and size of the executable: its path may differ from client to client
	Parallel   lsdyna.Parallel  `json:"parallel"`
	Precision  lsdyna.Precision `json:"precision"`
	Processors int              `json:"processors"`
	Ranks      int              `json:"ranks"`
	JobID      string           `json:"jobid,omitempty"`
}

// New takes the size of the executable. deck is what [rundir.Folder.HashDeck] returned, and
// cmd what launch.Build made of the same solver and options.
func New(deck string, s lsdyna.Solver, o launch.Options, cmd launch.Command) (Identity, error) {
	s = s.WithDefaults()
	info, err := os.Stat(s.Path)
	if err != nil {
		return Identity{}, fmt.Errorf("identify the solver: %w", err)
	}
	return Identity{
		Deck: deck, Solver: fmt.Sprintf("%s:%d", filepath.Base(s.Path), info.Size()), Parallel: s.Parallel, Precision: s.Precision,
		Processors: cmd.Ranks * cmd.Threads, Ranks: cmd.Ranks, JobID: o.JobID,
	}, nil
}

// Difference is what differs, as a text for the operator, or "".
func (i Identity) Difference(now Identity) string {
	switch {
	case i.Deck != now.Deck:
		return "the deck or a file it includes was changed"
	case i.Solver != now.Solver:
		return fmt.Sprintf("the solver was %s and is %s", i.Solver, now.Solver)
	case i.Parallel != now.Parallel || i.Precision != now.Precision:
		return fmt.Sprintf("the solver was %s %s precision and is %s %s precision", i.Parallel, i.Precision, now.Parallel, now.Precision)
	case i.Processors != now.Processors || i.Ranks != now.Ranks:
		return fmt.Sprintf("the run had %d processors in %d ranks and has %d in %d", i.Processors, i.Ranks, now.Processors, now.Ranks)
	case i.JobID != now.JobID:
		return fmt.Sprintf("jobid was %q and is %q", i.JobID, now.JobID)
	}
	return ""
}
