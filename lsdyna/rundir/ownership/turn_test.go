// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ownership

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// Where no lock keeps them apart one of several wins, and the record is the winner's.
func TestClaim_oneOfManyWinsWithoutLocks(t *testing.T) {
	withoutLocks(t)
	for name, before := range map[string]*Owner{"an empty folder": nil, "after a run that is over": {Run: "old", Ended: new(time.Time)}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if before != nil {
				plantOwner(t, openFolder(t, dir), *before)
			}
			var wg sync.WaitGroup
			winners := make(chan string, 32)
			for run := range strings.SplitSeq("abcdefghijklmnop", "") {
				folder := openFolder(t, dir)
				wg.Go(func() {
					if _, err := folder.Claim(ownerHere(run, living(t))); err == nil {
						winners <- run
					}
				})
			}
			wg.Wait()
			close(winners)
			must.Eq(t, 1, len(winners))
			o, err := openFolder(t, dir).ReadOwner()
			must.NoError(t, err)
			must.Eq(t, <-winners, o.Run)
		})
	}
}

// The same, with the others' moment fixed: the record comes after it was looked for.
func TestClaim_withoutLocksARecordThatCameMeanwhileStays(t *testing.T) {
	old := Owner{Run: "old", Ended: new(time.Time)}
	for name, before := range map[string]*Owner{"an empty folder": nil, "after a run that is over": &old} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			folder := openFolder(t, dir)
			if before != nil {
				plantOwner(t, folder, *before)
			}
			must.NoError(t, folder.claimExclusively(ownerHere("a"), before))
			must.ErrorIs(t, folder.claimExclusively(ownerHere("b"), before), unix.EEXIST)
			o, err := folder.ReadOwner()
			must.NoError(t, err)
			must.Eq(t, "a", o.Run)
			entries, err := os.ReadDir(dir)
			must.NoError(t, err)
			must.Len(t, 1, entries)
		})
	}
}

// A plugin that was restarted takes the folders of its runs again, while others ask.
func TestClaim_withoutLocksARunKeepsWhatItHas(t *testing.T) {
	withoutLocks(t)
	dir := t.TempDir()
	folder := openFolder(t, dir)
	plantOwner(t, folder, ownerHere("a", living(t)))
	again, stopped := make(chan struct{}), make(chan error)
	go func() {
		other := openFolder(t, dir)
		for {
			select {
			case <-again:
				stopped <- nil
				return
			default:
			}
			if _, err := other.Claim(ownerHere("b", living(t))); err == nil {
				stopped <- errors.New("another run got in")
				return
			}
		}
	}()
	for range 200 {
		_, err := folder.Claim(ownerHere("a", living(t)))
		must.NoError(t, err)
	}
	close(again)
	must.NoError(t, <-stopped)
}

// Until a run has processes of its own, its plugin is all that lives of it, also for
// another start of the same plugin.
func TestClaim_withoutLocksAStartOfTheSamePlugin(t *testing.T) {
	withoutLocks(t)
	dir := t.TempDir()
	ticks, err := procfs.StartTicks(procfs.Root, os.Getpid())
	must.NoError(t, err)
	c, err := openFolder(t, dir).Claim(ownerHere("starts", Process{PID: os.Getpid(), StartTicks: ticks}))
	must.NoError(t, err)
	_, err = openFolder(t, dir).Claim(ownerHere("b"))
	mustOwned(t, err)
	c.Drop() // as after a failed start whose folder did not answer
	_, err = openFolder(t, dir).Claim(ownerHere("b"))
	must.NoError(t, err)
}

// over is a run on this machine that has ended without a word.
func over(run string) Owner { return ownerHere(run, Process{PID: 1, StartTicks: 1 << 60}) }

// plantTurn leaves the file of a turn behind that a run had after another's record in file.
func plantTurn(t *testing.T, f *Folder, file string, after, of Owner) string {
	t.Helper()
	data, err := of.encode()
	must.NoError(t, err)
	turn := turnAfter(file, after)
	must.NoError(t, f.WriteFile(turn, data))
	return turn
}

// Several runs come after the same record: one is in its turn when the next looks.
func TestClaim_withoutLocksTheTurnIsAnothers(t *testing.T) {
	withoutLocks(t)
	old, there := over("old"), ownerHere("a")
	there.Node = Node{ID: "id-there", Name: "there", Host: "there", Boot: "another boot"}
	for name, in := range map[string]Owner{"a run that lives": ownerHere("a", living(t)), "another machine's": there} {
		t.Run(name, func(t *testing.T) {
			folder := openFolder(t, t.TempDir())
			plantOwner(t, folder, old)
			turn := plantTurn(t, folder, OwnerFile, old, in)
			_, err := folder.Claim(ownerHere("b", living(t)))
			must.Eq(t, "a", mustOwned(t, err).Owner.Run)
			must.StrContains(t, err.Error(), "release-folder")
			o, err := folder.ReadOwner()
			must.NoError(t, err)
			must.Eq(t, "old", o.Run)
			_, err = folder.readOwner(turn)
			must.NoError(t, err)
		})
	}
}

// Whoever died in its turn is in nobody's way, and nothing is left of it.
func TestClaim_withoutLocksWhoDiedInItsTurnIsSucceeded(t *testing.T) {
	withoutLocks(t)
	for name, dead := range map[string][]Owner{
		"one":                     {over("a")},
		"one after the other":     {over("a"), over("c"), over("d")},
		"the run that comes":      {over("b")},
		"the run that had it":     {over("old")},
		"one of them three times": {over("a"), over("a"), over("a")},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			folder := openFolder(t, dir)
			plantOwner(t, folder, over("old"))
			file, after := OwnerFile, over("old")
			for _, o := range dead {
				file, after = plantTurn(t, folder, file, after, o), o
			}
			_, err := folder.Claim(ownerHere("b", living(t)))
			must.NoError(t, err)
			o, err := folder.ReadOwner()
			must.NoError(t, err)
			must.Eq(t, "b", o.Run)
			entries, err := os.ReadDir(dir)
			must.NoError(t, err)
			must.Len(t, 2, entries, must.Sprintf("%v: lock and record", entries))
		})
	}
}

// A run that is about to say that it has left has not left: whoever came now would have
// its record written over.
func TestClaim_withoutLocksARunThatIsLeavingHasNotLeft(t *testing.T) {
	withoutLocks(t)
	folder := openFolder(t, t.TempDir())
	plantOwner(t, folder, over("old"))
	leaves := over("old")
	leaves.Ended = new(time.Time)
	claimedHere.Store(t, "old") // as in succeed
	turns, err := folder.takeTurn(over("old"), leaves)
	must.NoError(t, err)
	for _, run := range []string{"b", "old"} { // another plugin of the same run, too
		_, err = folder.Claim(ownerHere(run, living(t)))
		must.Eq(t, "old", mustOwned(t, err).Owner.Run, must.Sprint(run))
	}
	claimedHere.Delete(t)
	_, err = folder.Claim(ownerHere("b", living(t)))
	must.NoError(t, err, must.Sprint("the process is not in that turn any more"))
	_, err = folder.readOwner(turns[0].name)
	must.ErrorIs(t, err, os.ErrNotExist)
}

// Who seemed to have died in its turn may have ended it, and another may be in that turn.
func TestClaim_withoutLocksATurnThatEndedIsNotPassed(t *testing.T) {
	folder := openFolder(t, t.TempDir())
	plantOwner(t, folder, over("old"))
	plantTurn(t, folder, OwnerFile, over("old"), over("a"))
	turns, err := folder.takeTurn(over("old"), ownerHere("b"))
	must.NoError(t, err)
	must.Len(t, 2, turns)
	must.NoError(t, folder.checkTurn(over("old"), turns[:1]))
	plantTurn(t, folder, OwnerFile, over("old"), over("c"))
	must.ErrorIs(t, folder.checkTurn(over("old"), turns[:1]), unix.EEXIST)
	must.NoError(t, unix.Unlinkat(folder.Fd(), turns[0].name, 0))
	must.ErrorIs(t, folder.checkTurn(over("old"), turns[:1]), unix.EEXIST)
}

// The plugin of a run that is over says so while others come.
func TestClaim_withoutLocksOneWinsWhileTheLastLeaves(t *testing.T) {
	withoutLocks(t)
	for range 30 {
		dir := t.TempDir()
		plantOwner(t, openFolder(t, dir), over("old"))
		var wg sync.WaitGroup
		winners := make(chan string, 16)
		for run := range strings.SplitSeq("abcdefgh", "") {
			folder, last := openFolder(t, dir), openFolder(t, dir)
			wg.Go(func() {
				if _, err := folder.Claim(ownerHere(run, living(t))); err == nil {
					winners <- run
				}
			})
			wg.Go(func() { _ = last.Leave("old") })
		}
		wg.Wait()
		close(winners)
		must.LessEq(t, 1, len(winners))
		o, err := openFolder(t, dir).ReadOwner()
		must.NoError(t, err)
		if winner, ok := <-winners; ok {
			must.Eq(t, winner, o.Run)
		}
	}
}

// A record that says something else by now than when it was judged is judged again.
func TestClaim_withoutLocksARecordThatChangedIsJudgedAgain(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	plantOwner(t, folder, ownerHere("a", living(t)))
	must.ErrorIs(t, folder.succeed(over("a"), ownerHere("b")), unix.EEXIST)
	must.ErrorIs(t, folder.succeed(over("gone"), ownerHere("b")), unix.EEXIST)
	o, err := folder.ReadOwner()
	must.NoError(t, err)
	must.Eq(t, "a", o.Run)
	must.Len(t, 1, o.Processes)
	entries, err := os.ReadDir(dir)
	must.NoError(t, err)
	must.Len(t, 1, entries)
}

// A turn that was cut while it was written may be anybody's.
func TestClaim_withoutLocksADamagedTurn(t *testing.T) {
	withoutLocks(t)
	dir := t.TempDir()
	folder := openFolder(t, dir)
	plantOwner(t, folder, over("old"))
	write(t, dir, turnAfter(OwnerFile, over("old")), "{")
	_, err := folder.Claim(ownerHere("b"))
	mustOwned(t, err)
	must.StrContains(t, err.Error(), "release-folder "+dir)
	_, err = folder.ReleaseOwner()
	must.NoError(t, err)
	_, err = folder.Claim(ownerHere("b"))
	must.NoError(t, err)
}

// A run that changes its record, or leaves the folder, does not write over the next.
func TestClaim_withoutLocksWhatTheRunBeforeSaysComesTooLate(t *testing.T) {
	withoutLocks(t)
	folder, other := openFolder(t, t.TempDir()), openFolder(t, t.TempDir())
	for what, f := range map[string]*Folder{"before the next": folder, "after it": other} {
		t.Run(what, func(t *testing.T) {
			first, err := f.Claim(over("a"))
			must.NoError(t, err)
			claimedHere.Delete(first)
			b := ownerHere("b", living(t))
			if f == folder { // b is in its turn
				plantTurn(t, f, OwnerFile, over("a"), b)
			} else {
				_, err = f.Claim(b)
				must.NoError(t, err)
			}
			before, err := f.ReadOwner()
			must.NoError(t, err)
			must.Eq(t, "b", mustOwned(t, first.Update(ownerHere("a", living(t)))).Owner.Run)
			must.NoError(t, f.Leave("a"))
			must.NoError(t, first.Release())
			now, err := f.ReadOwner()
			must.NoError(t, err)
			must.Eq(t, before, now)
		})
	}
}

// Whoever has the folder says more of itself, and writes anew what the user removed.
func TestClaim_withoutLocksUpdate(t *testing.T) {
	withoutLocks(t)
	dir := t.TempDir()
	folder := openFolder(t, dir)
	c, err := folder.Claim(ownerHere("a"))
	must.NoError(t, err)
	for what, change := range map[string]func() error{
		"as it is":           func() error { return nil },
		"the record is gone": func() error { return os.Remove(filepath.Join(dir, OwnerFile)) },
		"it is damaged":      func() error { return os.WriteFile(filepath.Join(dir, OwnerFile), []byte("{"), 0o644) },
	} {
		t.Run(what, func(t *testing.T) {
			must.NoError(t, change())
			must.NoError(t, c.Update(ownerHere("a", living(t))))
			o, err := folder.ReadOwner()
			must.NoError(t, err)
			must.Len(t, 1, o.Processes)
		})
	}
	must.NoError(t, c.Release())
	o, err := folder.ReadOwner()
	must.NoError(t, err)
	must.NotNil(t, o.Ended)
}
