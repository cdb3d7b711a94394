// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package dumps

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/identity"
)

// run is a run folder with the record of a run, and what its outputs hold.
type run struct {
	t      *testing.T
	folder *rundir.Folder
	keeper *Keeper
	s      output.Snapshot
}

func newRun(t *testing.T) *run {
	t.Helper()
	dir := t.TempDir()
	folder, err := rundir.Open(dir, ".")
	must.NoError(t, err)
	t.Cleanup(func() { _ = folder.Close() })
	must.NoError(t, folder.WriteRecord(rundir.Record{Identity: identity.Identity{Deck: "d"}}))
	r := &run{t: t, folder: folder, keeper: &Keeper{}}
	r.s.DumpEvery = output.NoDumps
	return r
}

func dump(n int) output.Dump {
	return output.Dump{Name: fmt.Sprintf("d3dump%02d", n), Cycle: int64(100 * n), Wall: time.Unix(int64(1000+n), 0).UTC()}
}

// write has the solver write a dump with so many files, and its line.
func (r *run) write(n, ranks int) output.Dump {
	r.t.Helper()
	d := dump(n)
	for rank := range max(ranks, 1) {
		name := d.Name
		if ranks > 0 {
			name = fmt.Sprintf("%s.%04d", d.Name, rank)
		}
		must.NoError(r.t, os.WriteFile(filepath.Join(r.folder.Path(), name), []byte("dump"), 0o644))
	}
	r.s.Dumps = append(r.s.Dumps, d)
	return d
}

// note notes a dump as one that a switch brought about.
func (r *run) note(d output.Dump, checkpoint bool) {
	r.t.Helper()
	must.NoError(r.t, r.tryNote(d, checkpoint))
}

func (r *run) tryNote(d output.Dump, checkpoint bool) error {
	r.t.Helper()
	found, err := r.folder.AllDumps()
	must.NoError(r.t, err)
	files := found[d.Name]
	return r.keeper.Note(r.folder, r.s, rundir.AskedDump{
		WholeDump: rundir.WholeDump{Dump: d, Bytes: files.Bytes}, File: d.Name, ModTime: files.ModTime, Checkpoint: checkpoint,
	})
}

func (r *run) prune(keep int) { r.t.Helper(); must.NoError(r.t, r.keeper.Prune(r.folder, r.s, keep)) }

// there lists the files of dumps.
func (r *run) there() string {
	r.t.Helper()
	entries, err := os.ReadDir(r.folder.Path())
	must.NoError(r.t, err)
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "d3dump") {
			names = append(names, e.Name())
		}
	}
	return strings.Join(names, " ")
}

func TestPrune_keepsTheNewest(t *testing.T) {
	for keep, want := range map[int]string{
		0: "d3dump04", 1: "d3dump04", 2: "d3dump03 d3dump04", 3: "d3dump02 d3dump03 d3dump04", 9: "d3dump01 d3dump02 d3dump03 d3dump04",
	} {
		r := newRun(t)
		for n := range 4 {
			r.note(r.write(n+1, 0), true)
		}
		r.prune(keep)
		must.Eq(t, want, r.there(), must.Sprint(keep))
		record, err := r.folder.ReadRecord()
		must.NoError(t, err)
		must.Len(t, len(strings.Fields(want)), record.Asked)
	}
}

func TestPrune_removesNothingOnADoubt(t *testing.T) {
	const all = "d3dump01 d3dump02 d3dump03"
	path := func(r *run, n int) string { return filepath.Join(r.folder.Path(), dump(n).Name) }
	for name, c := range map[string]struct {
		change func(r *run)
		want   string
	}{
		"nothing is changed":                  {func(*run) {}, "d3dump02 d3dump03"},
		"the newest is cut":                   {func(r *run) { must.NoError(r.t, os.Truncate(path(r, 3), 1)) }, all},
		"the newest is empty":                 {func(r *run) { must.NoError(r.t, os.Truncate(path(r, 3), 0)) }, all},
		"the newest is gone":                  {func(r *run) { must.NoError(r.t, os.Remove(path(r, 3))) }, "d3dump01 d3dump02"},
		"the newest is bad":                   {func(r *run) { r.bad(3) }, all},
		"the one before it is bad":            {func(r *run) { r.bad(2) }, all},
		"the oldest was written anew":         {func(r *run) { r.touch(1) }, all},
		"the newest was written anew":         {func(r *run) { r.touch(3) }, all},
		"an operator asked for the oldest":    {func(r *run) { r.note(dump(1), false) }, all},
		"an operator asked for the newest":    {func(r *run) { r.note(dump(3), false) }, all},
		"the oldest is a link by now":         {func(r *run) { must.NoError(r.t, os.Remove(path(r, 1))); must.NoError(r.t, os.Symlink("x", path(r, 1))) }, all},
		"nobody asked for one that is beside": {func(r *run) { r.write(4, 0) }, "d3dump02 d3dump03 d3dump04"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t)
			for n := range 3 {
				r.note(r.write(n+1, 0), true)
			}
			c.change(r)
			r.prune(2)
			must.Eq(t, c.want, r.there())
		})
	}
}

func (r *run) bad(n int) {
	record, err := r.folder.ReadRecord()
	must.NoError(r.t, err)
	record.Bad = append(record.Bad, dump(n))
	must.NoError(r.t, r.folder.WriteRecord(record))
}

func (r *run) touch(n int) {
	then := time.Now().Add(time.Minute)
	must.NoError(r.t, os.Chtimes(filepath.Join(r.folder.Path(), dump(n).Name), then, then))
}

// The deck's dumps come every so many cycles. Where nothing tells how many, any that
// nobody asked for may be one.
func TestPrune_whereTheDeckAsksForDumps(t *testing.T) {
	for name, c := range map[string]struct {
		every  int64
		beside bool // there is a dump that nobody asked for
		want   string
		err    error
	}{
		"it asks for none":                        {output.NoDumps, true, "d3dump03 d3dump04", nil},
		"it asks for some, much later":            {100000, true, "d3dump03 d3dump04", nil},
		"it asks for one where the second was":    {195, true, "d3dump02 d3dump03 d3dump04", nil},
		"it asks for one just before the third":   {294, false, "d3dump02 d3dump03", nil},
		"not known, and all were asked for":       {0, false, "d3dump03", nil},
		"not known, and there is one of nobody's": {0, true, "d3dump01 d3dump02 d3dump03 d3dump04", ErrOwnDumps},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t)
			r.s.DumpEvery = c.every
			for n := range 3 {
				_ = r.tryNote(r.write(n+1, 0), true)
			}
			if c.beside {
				r.write(4, 0)
			}
			r.s.Dumps = append(r.s.Dumps, output.Dump{Name: "runrsf", Cycle: 7}) // has a name of its own
			err := r.keeper.Prune(r.folder, r.s, 1)
			must.True(t, errors.Is(err, c.err), must.Sprint(err))
			must.Eq(t, c.want, r.there())
		})
	}
}

// A checkpoint that was removed is still one of those that were asked for: where nothing
// tells of the deck's dumps, it must not be taken for one of them from then on.
func TestPrune_goesOnWhereNothingTellsOfTheDecksDumps(t *testing.T) {
	r := newRun(t)
	r.s.DumpEvery = 0
	for n := range 6 {
		r.note(r.write(n+1, 0), true)
		r.prune(2)
		if n == 3 {
			r.keeper = &Keeper{} // another plugin process
		}
	}
	must.Eq(t, "d3dump05 d3dump06", r.there())

	r.write(7, 0) // nobody has asked for it
	r.note(r.write(8, 0), true)
	must.ErrorIs(t, r.keeper.Prune(r.folder, r.s, 2), ErrOwnDumps)
	must.Eq(t, "d3dump05 d3dump06 d3dump07 d3dump08", r.there())
}

func TestKeeper_mayBeOwn(t *testing.T) {
	for name, c := range map[string]struct {
		cycle, every, began int64
		want                bool
	}{
		"none are asked for":        {500, output.NoDumps, 0, false},
		"not known":                 {500, 0, 0, false},
		"before the first":          {5, 500, 0, false},
		"at the first":              {501, 500, 0, true},
		"at the third":              {1499, 500, 0, true},
		"between":                   {1250, 500, 0, false},
		"counted from a restart":    {1250, 500, 750, true},
		"just after a restart":      {755, 500, 750, false},
		"every few cycles":          {3, 2, 0, true},
		"a restart that is another": {100, 500, 5000, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := Keeper{began: c.began}
			must.Eq(t, c.want, k.mayBeOwn(output.Dump{Cycle: c.cycle}, c.every))
		})
	}
}

// A dump of MPP has a file for each rank.
func TestPrune_dumpsOfSeveralRanks(t *testing.T) {
	for name, c := range map[string]struct {
		lost string // of the newest
		want int    // files that stay
	}{"all are there": {"", 3}, "a rank's is missing": {"d3dump02.0001", 5}, "the last rank's is missing": {"d3dump02.0002", 5}} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t)
			r.s.Parallel, r.s.Processors = lsdyna.MPP, 3
			r.note(r.write(1, 3), true)
			r.note(r.write(2, 3), true)
			if c.lost != "" {
				must.NoError(t, os.Remove(filepath.Join(r.folder.Path(), c.lost)))
			}
			r.prune(1)
			must.Len(t, c.want, strings.Fields(r.there()), must.Sprint(r.there()))
		})
	}
}

// What was there before the plugin was restarted, or the run, is known by its record.
func TestPrune_byTheRecordOfAnEarlierProcess(t *testing.T) {
	r := newRun(t)
	r.note(r.write(1, 0), true)
	r.note(r.write(2, 0), true)
	r.keeper, r.s = &Keeper{}, output.Snapshot{}
	r.note(r.write(3, 0), true)
	r.prune(2)
	must.Eq(t, "d3dump02 d3dump03", r.there())
	record, err := r.folder.ReadRecord()
	must.NoError(t, err)
	must.Len(t, 2, record.Asked)

	t.Run("a record that cannot be read is not replaced", func(t *testing.T) {
		must.NoError(t, os.WriteFile(filepath.Join(r.folder.Path(), rundir.RecordFile), []byte("damaged"), 0o644))
		r.keeper = &Keeper{}
		must.Error(t, r.keeper.Note(r.folder, r.s, rundir.AskedDump{File: "d3dump03"}))
		must.Error(t, r.keeper.Prune(r.folder, r.s, 1))
		must.Eq(t, "d3dump02 d3dump03", r.there())
	})
}

// A run with restart = "never" has no record.
func TestPrune_withoutARecord(t *testing.T) {
	r := newRun(t)
	must.NoError(t, os.Remove(filepath.Join(r.folder.Path(), rundir.RecordFile)))
	for n := range 3 {
		r.note(r.write(n+1, 0), true)
	}
	r.prune(1)
	must.Eq(t, "d3dump03", r.there())
	_, err := os.Lstat(filepath.Join(r.folder.Path(), rundir.RecordFile))
	must.ErrorIs(t, err, os.ErrNotExist)
}

func TestNote_isBounded(t *testing.T) {
	r := newRun(t)
	for n := range 2 * maxAsked {
		must.NoError(t, r.keeper.Note(r.folder, r.s, rundir.AskedDump{File: dump(n).Name}))
	}
	record, err := r.folder.ReadRecord()
	must.NoError(t, err)
	must.Len(t, maxAsked, record.Asked)
	must.Eq(t, dump(2*maxAsked-1).Name, record.Asked[maxAsked-1].File)
	must.True(t, slices.EqualFunc(record.Asked, r.keeper.asked, func(a, b rundir.AskedDump) bool { return a.File == b.File }))
}

// How old the newest dump is does not depend on when somebody began to look.
func TestNewest(t *testing.T) {
	r := newRun(t)
	_, ok := r.keeper.Newest(r.folder, r.s)
	must.False(t, ok)
	d := r.write(1, 0)
	then := time.Now().Add(-time.Hour)
	must.NoError(t, os.Chtimes(filepath.Join(r.folder.Path(), d.Name), then, then))
	newest, ok := r.keeper.Newest(r.folder, r.s)
	must.True(t, ok)
	must.Eq(t, d, newest.Dump)
	must.Less(t, time.Minute, newest.At.Sub(then).Abs())
	r.s.Dumps = append(r.s.Dumps, dump(2)) // its file is not there
	newest, _ = r.keeper.Newest(r.folder, r.s)
	must.Eq(t, d, newest.Dump)
}
