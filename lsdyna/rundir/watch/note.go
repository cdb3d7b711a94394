// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watch

import (
	"errors"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/dumps"
)

// noteDump has the run's record say that a switch's dump is complete, before anybody
// hears that it is written, and removes the checkpoints before it. On a full disk nothing
// can be noted until these are gone: that need not come first where the solver has printed
// something behind the dump's line, since a later start takes it by that.
func (w *Watcher) noteDump(f *rundir.Folder, s output.Snapshot, sent *sentSwitch) error {
	if err := w.checkMine(); err != nil {
		return err
	}
	d := sent.view.Dump
	whole := f.NoteWhole(d.Dump, d.Files)
	followed := slices.ContainsFunc(s.Dumps, func(o output.Dump) bool { return o.Same(d.Dump) && o.Followed })
	if sent.view.Switch.Terminates || whole != nil && !followed {
		return whole
	}
	if sent.dumps == nil {
		sent.dumps = sent.allDumps(f, s)
	}
	err := w.written.Note(f, s, sent.dumps...)
	if sent.checkpoint > 0 {
		switch failed := w.written.Prune(f, s, sent.checkpoint); {
		case failed != nil:
			err = failed
		case whole != nil || err != nil && !errors.Is(err, dumps.ErrOwnDumps):
			whole, err = f.NoteWhole(d.Dump, d.Files), w.written.Note(f, s, sent.dumps...) // there may be room by now
		}
	}
	sent.view.Unpruned = ""
	if err != nil {
		sent.view.Unpruned = err.Error()
	}
	if errors.Is(err, dumps.ErrOwnDumps) {
		err = nil // that is told, and no fault
	}
	return errors.Join(whole, err)
}

// mostOwed bounds how many dumps are tried to be noted again.
const mostOwed = 8

// owe has it tried again to note a switch's dump: the disk may be full, or its server away.
func (w *Watcher) owe(sent *sentSwitch) {
	if !slices.Contains(w.owed, sent) {
		w.owed = append(w.owed[max(len(w.owed)-mostOwed+1, 0):], sent)
	}
}

// noteOwed notes what could not be noted before.
func (w *Watcher) noteOwed(f *rundir.Folder, s output.Snapshot) error {
	var failed error
	w.owed = slices.DeleteFunc(w.owed, func(sent *sentSwitch) bool {
		err := w.noteDump(f, s, sent)
		failed = errors.Join(failed, err)
		return err == nil
	})
	return failed
}
