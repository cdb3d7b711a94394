// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/ledger"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// finish notes in the node's history how the run ended, and makes that final. Whoever
// comes first is noted: a run may be destroyed while its outputs are still read.
func (h *Handle) finish(s output.Snapshot, o output.Outcome, exit verdict.Exit) {
	h.ledger.Note(ledger.End{
		ID: h.ID, Details: h.Details(), Cores: len(h.process.Load().record.Cores),
		Snapshot: s, Outcome: o, Exit: exit, Over: h.over,
	})
	h.conclude(verdict.Result(o, exit.Exit), o, exit.At())
}
