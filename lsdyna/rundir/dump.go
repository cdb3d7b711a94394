// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// DumpFiles is the files of a dump in a run folder: one file, or with MPP one for
// each rank.
type DumpFiles struct {
	Name    string   // as r= takes it, with its jobid
	Files   []string // d3dump01, or d3dump01.0000, d3dump01.0001, …
	Bytes   int64    // in all
	ModTime time.Time
	empty   bool // one of the files has no content
	last    int  // the highest rank that has a file
}

// Whole reports whether no file is missing or empty. ranks is the number of MPI
// ranks, or 0 if it is not known; then only a missing file of a rank below another's is
// noticed.
func (d DumpFiles) Whole(ranks int) bool {
	if d.empty || len(d.Files) == 0 {
		return false
	}
	switch {
	case d.RanksOf() == 0:
		return true
	case ranks > 0:
		return len(d.Files) == ranks
	}
	return d.last == len(d.Files)-1
}

// RanksOf is how many ranks' files a dump has or should have, by the highest of their
// numbers; 0 for one that is a single file.
func (d DumpFiles) RanksOf() int {
	if len(d.Files) == 0 || len(d.Files) == 1 && d.Files[0] == d.Name {
		return 0
	}
	return d.last + 1
}

// AllDumps lists the restart files in the folder by name.
func (f *Folder) AllDumps() (map[string]DumpFiles, error) {
	names, err := f.names()
	if err != nil {
		return nil, err
	}
	found := map[string]DumpFiles{}
	for _, file := range names {
		if out, ok := lsdyna.ParseOutputName(file); !ok || out.Kind != lsdyna.KindDump {
			continue
		}
		st, err := f.stat(file)
		switch {
		case errors.Is(err, os.ErrNotExist), errors.Is(err, ErrNotRegular):
			continue // gone meanwhile, or no dump
		case err != nil:
			return nil, err
		}
		name := lsdyna.DumpOf(file)
		d := found[name]
		d.Name = name
		d.Files = append(d.Files, file)
		if rank, err := strconv.Atoi(strings.TrimPrefix(file, name+".")); err == nil {
			d.last = max(d.last, rank)
		}
		d.Bytes += st.Size
		d.empty = d.empty || st.Size == 0
		if modified := time.Unix(st.Mtim.Unix()); modified.After(d.ModTime) {
			d.ModTime = modified
		}
		found[name] = d
	}
	return found, nil
}

// Dumps lists the names of the restart files in the folder, as r= takes them.
func (f *Folder) Dumps() ([]string, error) {
	found, err := f.AllDumps()
	return slices.Sorted(maps.Keys(found)), err
}

// findDump finds a dump by the name that the solver printed, which has no jobid. A run
// with a jobid may have a folder with dumps of runs that had another or none.
func findDump(found map[string]DumpFiles, said, jobID string) (DumpFiles, bool) {
	own := said
	if jobID != "" {
		own = jobID + "." + said
	}
	if d, ok := found[own]; ok {
		return d, true
	}
	return NewestDump(found, said)
}

// NewestDump is findDump for a dump that was just written, by whatever jobid.
func NewestDump(found map[string]DumpFiles, said string) (DumpFiles, bool) {
	newest, ok := found[said]
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if d := found[name]; strings.HasSuffix(name, "."+said) && (!ok || d.ModTime.After(newest.ModTime)) {
			newest, ok = d, true
		}
	}
	return newest, ok
}

// dumpFor is the name by which r= takes a dump that the solver named, or nil if not all
// of its files are there.
func (f *Folder) dumpFor(said string, s output.Snapshot) *string {
	found, err := f.AllDumps()
	if err != nil {
		return nil
	}
	d, ok := NewestDump(found, said)
	if !ok || !d.Whole(RanksOf(s)) {
		return nil
	}
	return &d.Name
}

// RanksOf is the number of ranks by which a run's dumps are written, 0 if it is not
// known: outputs of a hybrid run count processors.
func RanksOf(s output.Snapshot) int {
	if s.Parallel == lsdyna.MPP {
		return s.Processors
	}
	return 0
}

// DumpState is how far a dump that was asked for has come.
type DumpState struct {
	Dump     output.Dump // as the solver printed it
	Files    DumpFiles   // as they are in the folder
	Said     bool        // the solver printed its line after it was asked
	Exists   bool        // and the files have content that was written after it was asked
	Complete bool        // and their size does not change any more
	Growing  bool        // a dump was written to a moment ago and is not complete: a signal now would cut it
}

const (
	dumpStill = 3               // calls of Look in a row with the same size until a dump is complete
	dumpQuiet = 25              // calls of Look without growth until a dump no longer counts as being written: disks and networks pause
	clockStep = 2 * time.Second // how far a file system's time may be behind the clock
)

// DumpWatch follows a dump from the moment it is asked for until it is complete.
// The zero value with Since and Last set is ready for Look.
type DumpWatch struct {
	Since time.Time    // when it was asked for, by this machine's clock
	Last  *output.Dump // newest dump that the solver had printed then, nil for none
	First bool         // of several the first counts: the run goes on, and others may follow

	since time.Time // the same by the folder's clock; zero: not known yet
	begun []string  // dumps that were written to at Begin, or a moment before; nil: Begin was not called
	still int
	size  int64 // of the dump that was printed
	all   int64 // of every dump written to since
	quiet int   // calls of Look since it grew last
}

// Look is how far the dump has come. s is the run as it is now. Call it every few
// tenths of a second.
func (w *DumpWatch) Look(folder *Folder, s output.Snapshot) DumpState {
	var state DumpState
	found, err := folder.AllDumps()
	if err != nil {
		return state
	}
	w.ask(folder)
	all := int64(0)
	for _, d := range found {
		if w.fresh(d) {
			all += d.Bytes
		}
	}
	if w.quiet++; all > w.all {
		w.quiet = 0
	}
	w.all = all
	state.Growing = all > 0 && w.quiet < dumpQuiet
	since := s.DumpsAfter(w.Last)
	if len(since) == 0 {
		return state
	}
	last := since[len(since)-1]
	if w.First {
		last = since[0]
	}
	state.Dump, state.Said = last, true
	ranks := RanksOf(s)
	d, ok := NewestDump(found, last.Name)
	if !ok || !d.Whole(ranks) || !w.fresh(d) {
		return state
	}
	state.Files, state.Exists = d, true
	if w.still++; d.Bytes != w.size {
		w.still, w.size = 0, d.Bytes
	}
	state.Complete = w.still >= dumpStill
	state.Growing = state.Growing && !state.Complete
	return state
}

// Begin is to be called before a dump is asked for: it notes which are written to then.
func (w *DumpWatch) Begin(folder *Folder) {
	w.ask(folder)
	if found, err := folder.AllDumps(); err == nil {
		w.begun = w.freshOf(found)
	}
}

// Begun reports whether a dump was begun since Begin. A solver may print its line later,
// and the line may come to the file that we read later still.
func (w *DumpWatch) Begun(folder *Folder) bool {
	if w.begun == nil {
		return false
	}
	found, err := folder.AllDumps()
	return err == nil && slices.ContainsFunc(w.freshOf(found), func(name string) bool { return !slices.Contains(w.begun, name) })
}

// freshOf names those that are fresh.
func (w *DumpWatch) freshOf(found map[string]DumpFiles) []string {
	names := []string{}
	for name, d := range found {
		if w.fresh(d) {
			names = append(names, name)
		}
	}
	return names
}

// ask asks the folder for its time, which is that of its files: the clock of its file
// server may be ahead of ours, or behind.
func (w *DumpWatch) ask(folder *Folder) {
	if !w.since.IsZero() {
		return
	}
	if there, err := folder.Now(); err == nil {
		w.since = w.Since.Add(time.Until(there))
	}
}

// fresh reports whether a dump was written to after it was asked for.
func (w *DumpWatch) fresh(d DumpFiles) bool {
	since := w.since
	if since.IsZero() {
		since = w.Since
	}
	return d.ModTime.After(since.Add(-clockStep))
}

// DumpKeeper finds out when the newest dump is complete that the solver printed,
// whoever asked for it. The zero value is ready for Look.
type DumpKeeper struct {
	dump  output.Dump
	files DumpFiles
	still int
	noted bool
}

// Look notes the newest dump in the run's record (NoteWhole) when its size has not
// changed for some calls, and again when it changes after all. Where the solver has
// printed something behind the dump's line there is nothing to do. s is the run as it
// is now.
func (k *DumpKeeper) Look(folder *Folder, s output.Snapshot) error {
	last := s.LastDump()
	if last == nil || last.Followed {
		return nil
	}
	if !k.dump.Same(*last) {
		*k = DumpKeeper{dump: *last}
	}
	if k.noted && folder.bytesOf(k.files) == k.files.Bytes {
		return nil
	}
	found, err := folder.AllDumps()
	if err != nil {
		return err
	}
	ranks := RanksOf(s)
	files, ok := NewestDump(found, last.Name)
	if k.still++; !ok || !files.Whole(ranks) || files.Bytes != k.files.Bytes {
		k.still, k.noted = 0, false
	}
	if k.files = files; k.still < dumpStill {
		return nil
	}
	err = folder.NoteWhole(*last, files)
	k.noted = err == nil
	return err
}

// bytesOf is how large the files of a dump are by now, as far as they are there.
func (f *Folder) bytesOf(d DumpFiles) (n int64) {
	for _, name := range d.Files {
		if st, err := f.stat(name); err == nil {
			n += st.Size
		}
	}
	return n
}
