// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"context"
	"fmt"
	"strings"
	"time"
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
func (f *RunFolder) dumps() (map[string]DumpFiles, error) {
	names, err := f.names()
	if err != nil {
		return nil, err
	}
	found := map[string]DumpFiles{}
	for _, file := range names {
		if out, ok := parseOutputName(file); !ok || out.source != sourceDump {
			continue
		}
		st, err := f.stat(file)
		if err != nil {
			continue // gone meanwhile, or no regular file: no dump
		}
		name := file
		if dot := strings.LastIndexByte(file, '.'); dot > 0 && digits(file[dot+1:]) {
			name = file[:dot]
		}
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
func (f *RunFolder) HasDump(said string) bool {
	found, err := f.dumps()
	if err != nil {
		return false
	}
	d, ok := findDump(found, said)
	return ok && d.whole(0)
}

// DumpState is how far a dump that was asked for has come.
type DumpState struct {
	Dump     Dump      // as the solver printed it
	Files    DumpFiles // as it lies in the folder
	Said     bool      // the solver printed its line after it was asked
	Exists   bool      // regular files with content, written after it was asked
	Complete bool      // said and there, and the size stands still
}

// Times of VerifyDump. The size must not change over several looks; a file
// system's clock may lag behind ours by its time step.
const (
	dumpLook  = 200 * time.Millisecond
	dumpStill = 3 // looks in a row
	clockStep = 2 * time.Second
)

// VerifyDump waits until a dump that was asked for at the time since is
// complete, or ctx ends; the error is then ctx's and the state says how far it
// came. before are the dumps that were known when it was asked for, snapshot is
// the run as it is now, e.g. Follower.Poll.
func VerifyDump(ctx context.Context, folder *RunFolder, since time.Time, before []Dump, snapshot func() (Snapshot, error)) (DumpState, error) {
	ticker := time.NewTicker(dumpLook)
	defer ticker.Stop()
	var state DumpState
	for still, size := 0, int64(-1); ; {
		s, _ := snapshot() // an unreadable source shows in the driver's own polling
		state = folder.dumpState(s, since, before)
		if state.Exists && state.Files.Bytes == size {
			still++
		} else {
			still, size = 0, state.Files.Bytes
		}
		if still >= dumpStill {
			state.Complete = true
			return state, nil
		}
		select {
		case <-ctx.Done():
			return state, fmt.Errorf("wait for a complete dump in %s: %w", folder.path, ctx.Err())
		case <-ticker.C:
		}
	}
}

func (f *RunFolder) dumpState(s Snapshot, since time.Time, before []Dump) DumpState {
	var state DumpState
	last := s.LastDump()
	if last == nil || (len(before) > 0 && sameDump(before[len(before)-1], *last)) {
		return state
	}
	state.Dump, state.Said = *last, true
	found, err := f.dumps()
	if err != nil {
		return state
	}
	ranks := 0
	if s.Parallel == MPP {
		ranks = s.Processors
	}
	if d, ok := findDump(found, last.Name); ok && d.whole(ranks) && d.ModTime.After(since.Add(-clockStep)) {
		state.Files, state.Exists = d, true
	}
	return state
}

// sameDump compares what was printed; Followed may have come true since.
func sameDump(a, b Dump) bool {
	return a.Name == b.Name && a.Cycle == b.Cycle && a.Wall.Equal(b.Wall)
}
