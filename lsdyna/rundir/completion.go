// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/deck"

// HasCompleted reports whether a deck is the one of the completed run, as far as can be
// told: a file of it may be away.
func (r Record) HasCompleted(d deck.Deck) bool {
	return r.Completed != nil && (r.Completed.Deck == "" || r.Completed.Deck == d.Hash || r.Lost(d) != "")
}

// IsOf reports whether the recorded run is the one of a deck, by its hash: it began with
// it, or with a dump of a run that did.
func (r Record) IsOf(hash string) bool {
	return hash != "" && (r.Identity.Deck == hash || r.From != nil && r.From.Deck == hash)
}

// NoteRestarted notes in a folder's record that Nomad has started the task again that
// completed its run there.
func (f *Folder) NoteRestarted() error {
	r, err := f.ReadRecord()
	if err != nil || r.Completed == nil || r.Completed.Restarted {
		return err
	}
	r.Completed.Restarted = true
	return f.WriteRecord(r)
}
