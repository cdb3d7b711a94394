// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"context"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// Bounds of reading the message files of ranks above 0.
const (
	maxRankFiles = 16384    // whose ends are read
	tailBytes    = 16 << 10 // of each
	maxRankWhole = 8        // that are read whole, because their ends have an error
)

// readRanks takes the errors in the message files of MPP ranks above 0. Each rank
// prints its own errors there, of which the outputs of rank 0 may hold none. What ended
// the run is at their ends.
func (f *Follower) readRanks(ctx context.Context) {
	names := f.rankFiles()
	var telling []string
	for _, name := range names[:min(len(names), maxRankFiles)] {
		if ctx.Err() != nil {
			return
		}
		facts, err := f.folder.readTail(name)
		if err == nil && (len(facts.FirstErrors) > 0 || facts.Broken+facts.Unnumbered != "") {
			telling = append(telling, name)
		}
	}
	whole := telling
	if len(telling) == 0 {
		whole = names[:min(len(names), maxCandidates)] // an error may be far from the end
	} else {
		whole = whole[:min(len(whole), maxRankWhole)]
	}
	for _, name := range whole {
		if facts, err := f.folder.readWhole(ctx, name); err == nil {
			f.addRank(facts)
		}
	}
}

// rankFiles are the message files of ranks above 0 of the last run in the folder, in the
// order of the ranks.
func (f *Follower) rankFiles() []string {
	all, _ := f.folder.names() // what cannot be listed cannot be read
	rank0, has0 := lsdyna.OutputName{}, false
	if src := f.sources[lsdyna.KindMessag]; src != nil {
		rank0, has0 = lsdyna.ParseOutputName(src.name)
	}
	var names []string
	for _, name := range all {
		out, _ := lsdyna.ParseOutputName(name)
		switch {
		case out.Kind != lsdyna.KindMessag || out.Rank == 0 || !f.ours(out):
		case has0 && (out.Sequence != rank0.Sequence || out.JobID != rank0.JobID):
		case f.written(name):
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// addRank adds what a rank's message file tells.
func (f *Follower) addRank(facts output.Facts) {
	s := &f.snapshot
	s.Errors += facts.Errors
	s.StudentLimit = s.StudentLimit || facts.StudentLimit
	if s.Broken == "" {
		s.Broken = facts.Broken
	}
	if (s.FirstError == nil || s.FirstError.Code == 0) && len(facts.FirstErrors) > 0 {
		s.FirstError = &facts.FirstErrors[0]
	}
	s.AddUnnumbered(facts.Unnumbered)
}

// readTail reads the end of an output.
func (f *Folder) readTail(name string) (output.Facts, error) {
	file, err := f.Open(name)
	if err != nil {
		return output.Facts{}, err
	}
	defer file.Close()
	state, err := stateOf(file)
	if err != nil {
		return output.Facts{}, err
	}
	buf := make([]byte, min(state.Size, tailBytes))
	n, _ := file.ReadAt(buf, max(0, state.Size-tailBytes))
	f.answers.Add(1)
	var r output.Reader
	_, _ = r.Write(buf[:n])
	return r.Final(), nil
}

// maxCases bounds how many runs of one process are looked for by their message files.
const maxCases = 32

// readCases takes the runs of one process that came before the last one, where only their
// message files tell of them: each has a jobid of its own.
func (f *Follower) readCases(ctx context.Context) {
	last := f.sources[lsdyna.KindMessag]
	if last == nil || f.snapshot.Before > 0 {
		return
	}
	chosen, _ := lsdyna.ParseOutputName(last.name)
	var others []output.Source
	for _, name := range f.names[lsdyna.KindMessag] {
		out, _ := lsdyna.ParseOutputName(name)
		if name == last.name || out.JobID == chosen.JobID || out.JobID == "" || len(others) == maxCases {
			continue
		}
		if facts, err := f.folder.readWhole(ctx, name); err == nil {
			others = append(others, output.Source{Name: out.JobID, Kind: lsdyna.KindMessag, Facts: facts})
		}
	}
	f.snapshot.AddBefore(others)
}
