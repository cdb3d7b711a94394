// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/identity"
)

// RestartChoice is where a run begins.
type RestartChoice struct {
	Dump string      // for Options.Restart; "" to begin with the deck
	Said output.Dump // what the solver printed of it
	Why  string      // one line, for the operator
}

// maxRefused bounds how many refused dumps Why names.
const maxRefused = 3

// SelectRestart chooses the newest complete dump in the folder that is of the
// recorded run and fits the one wanted now. Why names the newer ones that were
// refused, and the reasons. stdout is the name of the file that takes the solver's
// stdout; those of earlier starts have a number behind it.
//
// A dump is complete when the solver printed its line and something after it, or the
// driver saw it complete (WholeDump), and every file of it is there, has content and is
// younger than the run. A dump that was being written when the solver was killed is
// refused by this, and the one before it is taken.
func SelectRestart(ctx context.Context, folder *Folder, recorded Record, wanted identity.Identity, stdout string) (RestartChoice, error) {
	if d := recorded.Identity.Difference(wanted); d != "" {
		return RestartChoice{Why: "starting from the deck: " + d}, nil
	}
	found, err := folder.AllDumps()
	if err != nil {
		return RestartChoice{}, err
	}
	printed, err := folder.printedDumps(ctx, wanted.JobID, stdout, refuse)
	if err != nil {
		return RestartChoice{}, err
	}
	ranks := 0
	if wanted.Parallel != lsdyna.SMP {
		ranks = wanted.Ranks
	}
	refused := recorded.unprinted(found, printed)
	for _, dump := range printed {
		if recorded.ofEarlier(dump) || strings.HasPrefix(dump.Name, "d3full") {
			continue // another run's; d3full needs a full deck of its own
		}
		files, _ := findDump(found, dump.Name, wanted.JobID)
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

// refuses is why a dump cannot be restarted from, or "". files is the zero value if
// there are none.
func (r Record) refuses(dump output.Dump, files DumpFiles, ranks int) string {
	switch {
	case !files.Whole(ranks):
		return dump.Name + " is not there, or not with the files of all ranks"
	case r.isOlder(files):
		return dump.Name + " is older than this run"
	case slices.ContainsFunc(r.Bad, func(b output.Dump) bool { return b.Same(dump) }):
		return dump.Name + " was tried and is bad"
	case !dump.Followed && !r.sawWhole(dump, files):
		return dump.Name + " was being written when the run ended"
	}
	return ""
}

// unprinted names the dumps in the folder without a line of the solver: it was ended
// while it wrote them.
func (r Record) unprinted(found map[string]DumpFiles, printed []output.Dump) (refused []string) {
	for _, name := range slices.Sorted(maps.Keys(found)) {
		known := slices.ContainsFunc(printed, func(d output.Dump) bool { return name == d.Name || strings.HasSuffix(name, "."+d.Name) })
		if !known && !r.isOlder(found[name]) {
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

// maxSearched bounds how many outputs are searched for dump lines, the newest first.
// Each start leaves one or two outputs, also a start that got no licence.
const maxSearched = 2000

// What printedDumps does with an output that the task's user may not read. Of a run
// that is to go on it may tell of the dump to go on from.
const (
	refuse   = false
	passOver = true
)

// printedDumps is the dumps of all dump lines in the folder's outputs, of this run
// and its restarts, the newest first. Of a name that was written several times, as
// runrsf is, only the last line counts. An output that cannot be read is an error: it
// may be the one that tells of the newest dump.
func (f *Folder) printedDumps(ctx context.Context, jobID, stdout string, forbidden bool) ([]output.Dump, error) {
	names, err := f.list(func(name string) bool { return holdsDumpLines(name, jobID, stdout) })
	if err != nil {
		return nil, err
	}
	f.newestFirst(names)
	newest := map[string]output.Dump{}
	for _, name := range names[:min(len(names), maxSearched)] {
		src, err := f.readWhole(ctx, name)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("look for dumps in %s: %w", f.path, ctx.Err())
		}
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrNotRegular), forbidden && errors.Is(err, fs.ErrPermission):
			continue
		case err != nil:
			return nil, fmt.Errorf("look for dumps: %w; have it made readable, or remove it if it is of no use", err)
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

// holdsDumpLines reports whether the solver prints the dumps that it wrote into an
// output of this name.
func holdsDumpLines(name, jobID, stdout string) bool {
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
