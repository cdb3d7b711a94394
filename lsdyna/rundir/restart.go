// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// RestartChoice is where a run begins.
type RestartChoice struct {
	Dump string      // for Options.Restart; "" to begin with the deck
	Said output.Dump // what the solver printed of it
	Why  string      // one line, for the operator
}

// maxRefused bounds how many dumps that were passed over stand in one line.
const maxRefused = 3

// SelectRestart names the newest complete dump in the folder that belongs to
// the recorded run and fits the one wanted now, and tells why newer ones were
// passed over. stdout is the name of the file that takes the solver's stdout; those
// of earlier starts have a number behind it.
//
// A dump is believed when the solver printed its line, every file of it is
// there with content and younger than the run, and the solver printed something
// after the line: a dump that was being written when the solver was killed has
// none of that, and the one before it is taken.
func SelectRestart(ctx context.Context, folder *Folder, recorded Record, wanted Identity, stdout string) (RestartChoice, error) {
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
	if wanted.Parallel != lsdyna.SMP {
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
func (r Record) refuses(dump output.Dump, files DumpFiles, ranks int) string {
	switch {
	case !files.whole(ranks):
		return dump.Name + " is not there, or not with the files of all ranks"
	case files.ModTime.Before(r.Started.Add(-clockStep)):
		return dump.Name + " is older than this run"
	case slices.ContainsFunc(r.Bad, func(b output.Dump) bool { return b.Same(dump) }):
		return dump.Name + " was tried and is bad"
	case !dump.Followed:
		return dump.Name + " was being written when the run ended"
	}
	return ""
}

// unsaid tells of dumps that lie there without the solver's word that it wrote
// them: it was ended in the middle of it.
func unsaid(found map[string]DumpFiles, said []output.Dump, since time.Time) (refused []string) {
	for _, name := range slices.Sorted(maps.Keys(found)) {
		known := slices.ContainsFunc(said, func(d output.Dump) bool { return name == d.Name || strings.HasSuffix(name, "."+d.Name) })
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
func (f *Folder) saidDumps(ctx context.Context, jobID, stdout string) ([]output.Dump, error) {
	names, err := f.list(func(name string) bool { return tellsOfDumps(name, jobID, stdout) })
	if err != nil {
		return nil, err
	}
	f.newestFirst(names)
	newest := map[string]output.Dump{}
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
			if !known || d.Wall.After(was.Wall) || (d.Followed && d.Same(was)) {
				newest[d.Name] = d
			}
		}
	}
	dumps := make([]output.Dump, 0, len(newest))
	for _, d := range newest {
		dumps = append(dumps, d)
	}
	slices.SortFunc(dumps, func(a, b output.Dump) int {
		return cmp.Or(b.Wall.Compare(a.Wall), cmp.Compare(b.Cycle, a.Cycle), cmp.Compare(b.Name, a.Name))
	})
	return dumps, nil
}

// tellsOfDumps picks the outputs in which the solver says which dumps it wrote.
func tellsOfDumps(name, jobID, stdout string) bool {
	if name == stdout {
		return true
	}
	if number, former := strings.CutPrefix(name, stdout+"."); former {
		if _, err := strconv.ParseUint(number, 10, 64); err == nil {
			return true
		}
	}
	out, ok := lsdyna.ParseOutputName(name)
	return ok && out.Kind == lsdyna.KindMessag && out.Rank == 0 && (out.JobID == "" || out.JobID == jobID)
}

// newestFirst sorts files by when they were last written to.
func (f *Folder) newestFirst(names []string) {
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
func (f *Folder) readWhole(ctx context.Context, name string) (output.Facts, error) {
	file, err := f.Open(name)
	if err != nil {
		return output.Facts{}, err
	}
	defer file.Close()
	state, err := stateOf(file)
	if err != nil {
		return output.Facts{}, err
	}
	src := followed{Name: name, Inode: state.Inode, Reader: &output.Reader{}}
	for src.Offset < state.Size && ctx.Err() == nil {
		n, err := src.advance(file, state.Size)
		if err != nil {
			return output.Facts{}, fmt.Errorf("read %s: %w", file.Name(), err)
		}
		if n == 0 {
			break
		}
	}
	return src.Reader.Final(), ctx.Err()
}
