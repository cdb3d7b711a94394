// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// DumpFiles is a restart file as it lies in a run folder: one file, or with MPP
// one per rank.
type DumpFiles struct {
	Name    string   // as it goes behind r=, with its jobid
	Files   []string // d3dump01, or d3dump01.0000, d3dump01.0001, …
	Bytes   int64    // in all
	ModTime time.Time
	empty   bool // one of the files has no content
}

// whole tells whether no file is missing or empty, as far as names can tell.
// ranks is the number of MPI ranks, 0 where it is not known.
func (d DumpFiles) whole(ranks int) bool {
	if d.empty || len(d.Files) == 0 {
		return false
	}
	perRank := d.Files[0] != d.Name
	return !perRank || ranks == 0 || len(d.Files) == ranks
}

// dumps lists the restart files in the folder by name.
func (f *Folder) dumps() (map[string]DumpFiles, error) {
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
		if err != nil {
			continue // gone meanwhile, or no regular file: no dump
		}
		name := lsdyna.DumpOf(file)
		d := found[name]
		d.Name = name
		d.Files = append(d.Files, file)
		d.Bytes += st.Size
		d.empty = d.empty || st.Size == 0
		if modified := time.Unix(st.Mtim.Unix()); modified.After(d.ModTime) {
			d.ModTime = modified
		}
		found[name] = d
	}
	return found, nil
}

// findDump finds a dump by the name that the solver printed, which has no jobid.
func findDump(found map[string]DumpFiles, said string) (DumpFiles, bool) {
	if d, ok := found[said]; ok {
		return d, true
	}
	var newest DumpFiles
	for name, d := range found {
		if strings.HasSuffix(name, "."+said) && d.ModTime.After(newest.ModTime) {
			newest = d
		}
	}
	return newest, newest.Name != ""
}

// HasDump tells whether a dump that the solver named is really there.
func (f *Folder) HasDump(said string) bool {
	found, err := f.dumps()
	if err != nil {
		return false
	}
	d, ok := findDump(found, said)
	return ok && d.whole(0)
}

// DumpState is how far a dump that was asked for has come.
type DumpState struct {
	Dump     output.Dump // as the solver printed it
	Files    DumpFiles   // as it lies in the folder
	Said     bool        // the solver printed its line after it was asked
	Exists   bool        // said, and there with content, written after it was asked
	Complete bool        // and the size stands still
	Growing  bool        // some dump was written to a moment ago and is not complete: a signal now would cut it
}

const (
	dumpStill = 3               // looks in a row at which the size must stand still
	dumpQuiet = 25              // and for which a dump still counts as being written: disks and networks pause
	clockStep = 2 * time.Second // a file system's clock may lag behind ours by its time step
)

// DumpWatch follows a dump from the moment it is asked for until it is complete.
// The zero value with Since and Last set is ready to look.
type DumpWatch struct {
	Since time.Time    // when it was asked for, by our clock
	Last  *output.Dump // newest dump that the solver had told of then, nil for none

	still int
	size  int64 // of the dump that was said
	all   int64 // of every dump written to since
	quiet int   // looks since it grew last
}

// Look tells how far the dump has come. s is the run as it is now; looks should
// lie some tenths of a second apart.
func (w *DumpWatch) Look(folder *Folder, s output.Snapshot) DumpState {
	var state DumpState
	found, err := folder.dumps()
	if err != nil {
		return state
	}
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
	last := s.LastDump()
	if last == nil || (w.Last != nil && w.Last.Same(*last)) {
		return state
	}
	state.Dump, state.Said = *last, true
	ranks := 0
	if s.Parallel == lsdyna.MPP {
		ranks = s.Processors
	}
	d, ok := findDump(found, last.Name)
	if !ok || !d.whole(ranks) || !w.fresh(d) {
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

// fresh tells whether a dump was written to after it was asked for.
func (w *DumpWatch) fresh(d DumpFiles) bool { return d.ModTime.After(w.Since.Add(-clockStep)) }
