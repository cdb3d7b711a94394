// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package dumps keeps the newest of the dumps that checkpoints brought about, and
// removes those before them. It removes nothing on a doubt: only files that are as they
// were when the solver had written them for a checkpoint of this very run, and only
// while enough newer ones are there with the files of all ranks.
package dumps

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// maxAsked bounds how many dumps a Keeper knows.
const maxAsked = 64

// Keeper knows which dumps of a run sense switches brought about, and when the newest
// dump was written. The run's record knows it, too, for as long as the run goes on from
// its dumps; without one the Keeper alone does. It is not safe for concurrent use.
type Keeper struct {
	asked  []rundir.AskedDump
	ours   *output.Dump // up to this one all dumps were asked for, those among them that were removed since
	read   bool         // the record's are among them
	began  int64        // the cycle of the dump that the run went on from; 0: with its deck
	newest Newest
}

// Newest is the newest dump that a solver has told of.
type Newest struct {
	Dump output.Dump
	At   time.Time // when its files were written, by this process's clock
}

// Newest returns the newest dump that is there with all of its files; false where there
// is none.
func (k *Keeper) Newest(f *rundir.Folder, s output.Snapshot) (Newest, bool) {
	last := s.LastDump()
	if last == nil {
		return k.newest, !k.newest.At.IsZero()
	}
	if k.newest.Dump.Same(*last) {
		return k.newest, true
	}
	found, err := f.AllDumps()
	files, ok := rundir.NewestDump(found, last.Name)
	if err != nil || !ok || !files.Whole(rundir.RanksOf(s)) {
		return k.newest, !k.newest.At.IsZero()
	}
	now := time.Now()
	if server, err := f.Now(); err == nil {
		k.newest = Newest{Dump: *last, At: now.Add(-max(server.Sub(files.ModTime), 0))}
	}
	return k.newest, !k.newest.At.IsZero()
}

// ErrOwnDumps is returned where the deck asks for dumps of its own, and it cannot be told
// for sure which are the checkpoints'. What may be the deck's stays.
var ErrOwnDumps = errors.New("the deck asks for dumps of its own, from which they cannot be told")

// Note notes dumps that a sense switch brought about, before anybody hears of them. s is
// the run as it is now.
func (k *Keeper) Note(f *rundir.Folder, s output.Snapshot, written ...rundir.AskedDump) error {
	err := k.load(f)
	own := error(nil)
	for _, d := range written {
		if d.Checkpoint && k.mayBeOwn(d.Dump, s.DumpEvery) {
			d.Checkpoint, own = false, ErrOwnDumps
		}
		if i := slices.IndexFunc(k.asked, func(a rundir.AskedDump) bool { return a.File == d.File && a.Same(d.Dump) }); i >= 0 {
			d.Checkpoint = d.Checkpoint && k.asked[i].Checkpoint
			k.asked[i] = d // once more; they stay in their order
			continue
		}
		k.asked = slices.DeleteFunc(k.asked, func(a rundir.AskedDump) bool { return a.File == d.File })
		k.asked = append(k.asked, d)
	}
	k.asked = k.asked[max(len(k.asked)-maxAsked, 0):]
	if err != nil {
		return err // what the record knows must not be lost
	}
	if err := f.NoteAsked(k.asked, k.ours); err != nil {
		return err
	}
	return own
}

// ownMargin is how many cycles a dump that the deck asks for may be beside its interval.
const ownMargin = 10

// mayBeOwn reports whether a dump may be one that the deck asks for: at so many cycles, or
// at so many after a restart.
func (k *Keeper) mayBeOwn(d output.Dump, every int64) bool {
	if every <= 0 || every >= output.NoDumps {
		return false
	}
	near := func(cycles int64) bool {
		rest := cycles % every
		return cycles >= every-ownMargin && min(rest, every-rest) <= ownMargin
	}
	return near(d.Cycle) || near(d.Cycle-k.began)
}

// load takes what the run's record knows.
func (k *Keeper) load(f *rundir.Folder) error {
	if k.read {
		return nil
	}
	r, err := f.ReadRecord()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	k.asked, k.read = append(slices.Clone(r.Asked), k.asked...), true
	if k.ours == nil {
		k.ours = r.Ours
	}
	if r.Chosen != nil {
		k.began = r.Chosen.Cycle
	}
	return nil
}

// Prune removes the checkpoints before the newest of which so many are kept. s is the run
// as it is now. Those that stay are on the disk before any goes.
func (k *Keeper) Prune(f *rundir.Folder, s output.Snapshot, keep int) error {
	if err := k.load(f); err != nil {
		return err
	}
	if k.hasOwn(s) {
		return ErrOwnDumps
	}
	k.ours = s.LastDump()
	found, err := f.AllDumps()
	if err != nil {
		return err
	}
	bad, err := badDumps(f)
	if err != nil {
		return err
	}
	stay, surplus := divide(k.asked, found, rundir.RanksOf(s), keep, bad)
	if len(surplus) == 0 {
		return nil
	}
	for _, d := range stay {
		if err := syncFiles(f, found[d.File]); err != nil {
			return fmt.Errorf("an older checkpoint than %s is not removed: %w", d.File, err)
		}
	}
	for _, d := range surplus {
		if err := remove(f, found[d.File]); err != nil {
			return err
		}
		k.asked = slices.DeleteFunc(k.asked, func(a rundir.AskedDump) bool { return a.File == d.File })
	}
	return f.NoteAsked(k.asked, k.ours)
}

// badDumps are those that the solver could not go on from.
func badDumps(f *rundir.Folder) ([]output.Dump, error) {
	r, err := f.ReadRecord()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return r.Bad, err
}

// hasOwn reports whether the run has written dumps that no sense switch of ours asked for,
// and nothing tells when the deck asks for some.
func (k *Keeper) hasOwn(s output.Snapshot) bool {
	if s.DumpEvery > 0 {
		return false
	}
	return slices.ContainsFunc(s.DumpsAfter(k.ours), func(d output.Dump) bool {
		ours := slices.ContainsFunc(k.asked, func(a rundir.AskedDump) bool { return a.Same(d) })
		return strings.HasPrefix(d.Name, "d3dump") && !ours
	})
}

// divide finds the newest checkpoints that are whole, as many as are kept, and those
// before them. What is not as it was, or bad, counts for neither. asked is in the order
// in which they were written.
func divide(asked []rundir.AskedDump, found map[string]rundir.DumpFiles, ranks, keep int, bad []output.Dump) (stay, surplus []rundir.AskedDump) {
	for _, a := range slices.Backward(asked) {
		isBad := slices.ContainsFunc(bad, func(b output.Dump) bool { return b.Same(a.Dump) })
		switch {
		case !a.Checkpoint || isBad || !a.IsThere(found[a.File], ranks):
		case len(stay) < max(keep, 1):
			stay = append(stay, a)
		default:
			surplus = append(surplus, a)
		}
	}
	slices.Reverse(surplus)
	return stay, surplus
}

// syncFiles has the files of a dump written to the disk.
func syncFiles(f *rundir.Folder, d rundir.DumpFiles) error {
	for _, name := range d.Files {
		file, err := f.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(file.Sync(), file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// remove removes the files of a dump. Those of the lower ranks go first: what is left
// where it fails does not look like a dump of fewer ranks.
func remove(f *rundir.Folder, d rundir.DumpFiles) error {
	for _, name := range slices.Sorted(slices.Values(d.Files)) {
		if err := unix.Unlinkat(f.Fd(), name, 0); err != nil && err != unix.ENOENT {
			return &os.PathError{Op: "remove an old checkpoint", Path: filepath.Join(f.Path(), name), Err: err}
		}
	}
	return nil
}
