// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Identity is what a dump depends on: it continues only with the same deck,
// executable, precision and number of processors.
type Identity struct {
	Deck       string    `json:"deck"`   // hash of the deck and what it includes
	Solver     string    `json:"solver"` // name and size of the executable: its path may differ from client to client
	Parallel   Parallel  `json:"parallel"`
	Precision  Precision `json:"precision"`
	Processors int       `json:"processors"`
	Ranks      int       `json:"ranks"`
	JobID      string    `json:"jobid,omitempty"`
}

// NewIdentity reads the deck with its includes, and looks at the executable.
// cmd is what CommandLine made of the same solver and options.
func NewIdentity(ctx context.Context, folder *RunFolder, s Solver, o RunOptions, cmd Command) (Identity, error) {
	s = s.WithDefaults()
	deck, err := folder.hashDeck(ctx, o.Input)
	if err != nil {
		return Identity{}, fmt.Errorf("identify the deck %s: %w", o.Input, err)
	}
	info, err := os.Stat(s.Path)
	if err != nil {
		return Identity{}, fmt.Errorf("identify the solver: %w", err)
	}
	return Identity{
		Deck: deck, Solver: fmt.Sprintf("%s:%d", filepath.Base(s.Path), info.Size()), Parallel: s.Parallel, Precision: s.Precision,
		Processors: cmd.Ranks * cmd.Threads, Ranks: cmd.Ranks, JobID: o.JobID,
	}, nil
}

// difference says in words what differs, or nothing.
func (i Identity) difference(now Identity) string {
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

// RecordFile is the file in the run folder that keeps a run's identity. It lies
// there, and not with the driver, so that it moves with the folder to another
// client.
const RecordFile = ".lsdyna-run.json"

// RunRecord is what RecordFile holds. The task's user can write it: all that a
// forged one can do is to start this user's own run from a dump of this folder.
type RunRecord struct {
	Identity Identity  `json:"identity"`
	Started  time.Time `json:"started"`           // of the first start from the deck, by our clock
	Earlier  []Dump    `json:"earlier,omitempty"` // dumps of other runs, told by the outputs that were there at that start
	Chosen   *Dump     `json:"chosen,omitempty"`  // dump that the last start began with
	Bad      []Dump    `json:"bad,omitempty"`     // dumps that the solver could not begin with
}

// maxRecord bounds how much of a record is read, and maxEarlier how many dumps
// of other runs stand in it: some 100 bytes each.
const (
	maxRecord  = 64 << 10
	maxEarlier = 256
)

// NewRunRecord begins the record of a run that starts from the deck. What the
// folder's outputs tell of dumps up to now belongs to other runs, and the dumps'
// own times cannot show that for long: a folder that Nomad moves to another client
// arrives with new ones. stdout is as for RestartSelect.
func NewRunRecord(ctx context.Context, folder *RunFolder, id Identity, stdout string) (RunRecord, error) {
	said, err := folder.saidDumps(ctx, id.JobID, stdout)
	if err != nil {
		return RunRecord{}, err
	}
	return RunRecord{Identity: id, Started: time.Now(), Earlier: said[:min(len(said), maxEarlier)]}, nil
}

// RejectChosen notes that the solver could not go on from the dump of the last
// start. It counts until the solver writes a dump of that name anew.
func (r *RunRecord) RejectChosen() {
	if r.Chosen != nil {
		r.Bad = append(r.Bad, *r.Chosen)
		r.Chosen = nil
	}
}

// ofEarlier tells whether a dump was there before the run began.
func (r RunRecord) ofEarlier(d Dump) bool {
	return slices.ContainsFunc(r.Earlier, func(e Dump) bool { return sameDump(e, d) })
}

// WriteRecord stores a run's record in its folder, on the disk: the start after a
// power cut goes by it, and without it the run would begin anew.
func (f *RunFolder) WriteRecord(r RunRecord) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the run's record: %w", err)
	}
	return f.replace(RecordFile, data, 0o644, NoOwner, durable)
}

// ReadRecord reads what WriteRecord stored; os.ErrNotExist when there is none.
func (f *RunFolder) ReadRecord() (RunRecord, error) {
	file, err := f.Open(RecordFile)
	if err != nil {
		return RunRecord{}, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxRecord+1))
	if err == nil && len(data) > maxRecord {
		err = errors.New("too large")
	}
	var r RunRecord
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return RunRecord{}, fmt.Errorf("read the run's record %s: %w", file.Name(), err)
	}
	return r, nil
}

// RestartChoice is where a run begins.
type RestartChoice struct {
	Dump string // for RunOptions.Restart; "" to begin with the deck
	Said Dump   // what the solver printed of it
	Why  string // one line, for the operator
}

// maxRefused bounds how many dumps that were passed over stand in one line.
const maxRefused = 3

// RestartSelect names the newest complete dump in the folder that belongs to
// the recorded run and fits the one wanted now, and tells why newer ones were
// passed over. stdout is the name of the file that takes the solver's stdout; those
// of earlier starts have a number behind it.
//
// A dump is believed when the solver printed its line, every file of it is
// there with content and younger than the run, and the solver printed something
// after the line: a dump that was being written when the solver was killed has
// none of that, and the one before it is taken.
func RestartSelect(ctx context.Context, folder *RunFolder, recorded RunRecord, wanted Identity, stdout string) (RestartChoice, error) {
	if d := recorded.Identity.difference(wanted); d != "" {
		return RestartChoice{Why: "starting from the deck: " + d}, nil
	}
	found, err := folder.dumps()
	if err != nil {
		return RestartChoice{}, err
	}
	said, err := folder.saidDumps(ctx, wanted.JobID, stdout)
	if err != nil {
		return RestartChoice{}, err
	}
	ranks := 0
	if wanted.Parallel != SMP {
		ranks = wanted.Ranks
	}
	refused := unsaid(found, said, recorded.Started)
	for _, dump := range said {
		if recorded.ofEarlier(dump) || strings.HasPrefix(dump.Name, "d3full") {
			continue // another run's; d3full needs a full deck of its own
		}
		files, _ := findDump(found, dump.Name)
		if why := recorded.refuses(dump, files, ranks); why != "" {
			refused = append(refused, why)
			continue
		}
		why := fmt.Sprintf("restarting from %s (t = %.4g, cycle %d)", files.Name, dump.Time, dump.Cycle)
		return RestartChoice{Dump: files.Name, Said: dump, Why: strings.Join(append([]string{why}, firstFew(refused)...), "; ")}, nil
	}
	if len(refused) == 0 {
		refused = []string{"the run has written no dump yet"}
	}
	return RestartChoice{Why: "starting from the deck: " + strings.Join(firstFew(refused), "; ")}, nil
}

// refuses says why a dump cannot be restarted from, or nothing. files are zero
// where there are none.
func (r RunRecord) refuses(dump Dump, files DumpFiles, ranks int) string {
	switch {
	case !files.whole(ranks):
		return dump.Name + " is not there, or not with the files of all ranks"
	case files.ModTime.Before(r.Started.Add(-clockStep)):
		return dump.Name + " is older than this run"
	case slices.ContainsFunc(r.Bad, func(b Dump) bool { return sameDump(b, dump) }):
		return dump.Name + " was tried and is bad"
	case !dump.Followed:
		return dump.Name + " was being written when the run ended"
	}
	return ""
}

// unsaid tells of dumps that lie there without the solver's word that it wrote
// them: it was ended in the middle of it.
func unsaid(found map[string]DumpFiles, said []Dump, since time.Time) (refused []string) {
	for _, name := range slices.Sorted(maps.Keys(found)) {
		known := slices.ContainsFunc(said, func(d Dump) bool { return name == d.Name || strings.HasSuffix(name, "."+d.Name) })
		if !known && !found[name].ModTime.Before(since) {
			refused = append(refused, name+" is not complete: the solver did not say that it wrote it")
		}
	}
	return refused
}

func firstFew(refused []string) []string {
	if more := len(refused) - maxRefused; more > 0 {
		return append(slices.Clone(refused[:maxRefused]), fmt.Sprintf("and %d more", more))
	}
	return refused
}

// maxTold bounds how many outputs are searched for dumps, the newest first: each
// start leaves one or two, also one that got no licence.
const maxTold = 2000

// saidDumps collects the dump lines of all outputs in the folder, of this run
// and its restarts, the newest first. A name written twice counts with its last
// line; runrsf is overwritten again and again.
func (f *RunFolder) saidDumps(ctx context.Context, jobID, stdout string) ([]Dump, error) {
	names, err := f.list(func(name string) bool { return tellsOfDumps(name, jobID, stdout) })
	if err != nil {
		return nil, err
	}
	f.newestFirst(names)
	newest := map[string]Dump{}
	for _, name := range names[:min(len(names), maxTold)] {
		src, err := f.readWhole(ctx, name)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("look for dumps in %s: %w", f.path, ctx.Err())
		}
		if err != nil {
			continue // no such file, or no regular one: it tells of no dump
		}
		for _, d := range src.Dumps {
			was, known := newest[d.Name]
			if !known || d.Wall.After(was.Wall) || (d.Followed && sameDump(d, was)) {
				newest[d.Name] = d
			}
		}
	}
	dumps := make([]Dump, 0, len(newest))
	for _, d := range newest {
		dumps = append(dumps, d)
	}
	slices.SortFunc(dumps, func(a, b Dump) int {
		return cmp.Or(b.Wall.Compare(a.Wall), cmp.Compare(b.Cycle, a.Cycle), cmp.Compare(b.Name, a.Name))
	})
	return dumps, nil
}

// tellsOfDumps picks the outputs in which the solver says which dumps it wrote.
func tellsOfDumps(name, jobID, stdout string) bool {
	if number, former := strings.CutPrefix(name, stdout+"."); name == stdout || former && digits(number) {
		return true
	}
	out, ok := parseOutputName(name)
	return ok && out.source == sourceMessag && out.rank == 0 && (out.jobID == "" || out.jobID == jobID)
}

// newestFirst sorts files by when they were last written to.
func (f *RunFolder) newestFirst(names []string) {
	written := make(map[string]int64, len(names))
	for _, name := range names {
		if st, err := f.stat(name); err == nil {
			written[name] = st.Mtim.Nano()
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(written[b], written[a]), cmp.Compare(a, b))
	})
}

// readWhole reads one output to its end.
func (f *RunFolder) readWhole(ctx context.Context, name string) (Facts, error) {
	file, err := f.Open(name)
	if err != nil {
		return Facts{}, err
	}
	defer file.Close()
	state, err := stateOf(file)
	if err != nil {
		return Facts{}, err
	}
	src := followed{Name: name, Inode: state.Inode, Reader: &Reader{}}
	for src.Offset < state.Size && ctx.Err() == nil {
		n, err := src.advance(file, state.Size)
		if err != nil {
			return Facts{}, fmt.Errorf("read %s: %w", file.Name(), err)
		}
		if n == 0 {
			break
		}
	}
	return src.Reader.Final(), ctx.Err()
}
