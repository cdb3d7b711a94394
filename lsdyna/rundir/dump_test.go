// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/identity"
)

func TestDumpWatch_waitsForLineFileAndStillness(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	write(t, dir, "stdout", dumpLine(100, .001, "write d3dump01 file", 1))
	must.NoError(t, os.Chtimes(write(t, dir, "d3dump01", "old"), time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)))
	follower := NewFollower(folder, FollowOptions{})
	watch := DumpWatch{Since: time.Now(), Last: poll(t, follower).LastDump()}
	look := func() DumpState { return watch.Look(folder, poll(t, follower)) }
	for range 2 * dumpStill {
		must.Eq(t, DumpState{}, look(), must.Sprint("an old dump is none"))
	}

	path := write(t, dir, "d3dump02", "x")
	must.Eq(t, DumpState{Growing: true}, look(), must.Sprint("it is being written"))
	for range dumpQuiet - 1 {
		must.Eq(t, DumpState{Growing: true}, look(), must.Sprint("a pause is no end"))
	}
	must.Eq(t, DumpState{}, look())
	appendTo(t, filepath.Join(dir, "stdout"), dumpLine(200, .002, "write d3dump02 file", 2))
	for range 5 {
		appendTo(t, path, "more")
		state := look()
		must.True(t, state.Said && state.Exists && state.Growing && !state.Complete)
	}
	for i := range dumpStill {
		state := look()
		must.Eq(t, i == dumpStill-1, state.Complete)
		must.NotEq(t, state.Complete, state.Growing)
		must.Eq(t, 21, state.Files.Bytes)
		must.Eq(t, "d3dump02", state.Files.Name)
		must.Eq(t, .002, state.Dump.Time)
	}

	must.NoError(t, os.Remove(path))
	state := look()
	must.True(t, state.Said && !state.Exists && !state.Complete)
}

// A dump is as old as its file server says, whatever the time is there.
func TestDumpWatch_whereTheServersClockIsAnother(t *testing.T) {
	for name, off := range map[string]time.Duration{"behind": -24 * time.Hour, "ahead": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			setFolderClock(t, off)
			dir := t.TempDir()
			folder := openFolder(t, dir)
			stamp := func(name string, age time.Duration) {
				when := time.Now().Add(off - age)
				must.NoError(t, os.Chtimes(write(t, dir, name, "dump"), when, when))
			}
			follower := NewFollower(folder, FollowOptions{})
			watch := DumpWatch{Since: time.Now()}
			stamp("d3dump01", time.Minute)
			must.Eq(t, DumpState{}, watch.Look(folder, poll(t, follower)), must.Sprint("an old dump is none"))
			stamp("d3dump02", 0)
			must.Eq(t, DumpState{Growing: true}, watch.Look(folder, poll(t, follower)))
			write(t, dir, "stdout", dumpLine(200, .002, "write d3dump02 file", 2))
			var state DumpState
			for range dumpStill + 1 {
				state = watch.Look(folder, poll(t, follower))
			}
			must.True(t, state.Complete)
			must.Eq(t, "d3dump02", state.Files.Name)
		})
	}
}

func TestNow_isTheFoldersOwnClock(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	now, err := folder.Now()
	must.NoError(t, err)
	must.Less(t, time.Minute, time.Since(now).Abs())
	setFolderClock(t, -time.Hour)
	now, err = folder.Now()
	must.NoError(t, err)
	must.Less(t, time.Minute, (time.Since(now) - time.Hour).Abs())
	entries, err := os.ReadDir(dir)
	must.NoError(t, err)
	must.SliceEmpty(t, entries)
}

// A folder may have a dump of a run without a jobid.
func TestDumpWatch_findsADumpBesideOneWithoutItsJobID(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	old := time.Now().Add(-time.Hour)
	must.NoError(t, os.Chtimes(write(t, dir, "d3dump01", "another run's"), old, old))
	follower := NewFollower(folder, FollowOptions{JobID: "j7"})
	watch, keeper := DumpWatch{Since: time.Now()}, DumpKeeper{}
	must.NoError(t, folder.WriteRecord(Record{Identity: identity.Identity{Deck: "d"}}))
	write(t, dir, "stdout", dumpLine(100, .001, "write d3dump01 file", 1))
	write(t, dir, "j7.d3dump01", "its own")
	var state DumpState
	for range dumpStill + 1 {
		s := poll(t, follower)
		state = watch.Look(folder, s)
		must.NoError(t, keeper.Look(folder, s))
	}
	must.True(t, state.Complete)
	must.Eq(t, "j7.d3dump01", state.Files.Name)
	record, err := folder.ReadRecord()
	must.NoError(t, err)
	must.Len(t, 1, record.Whole)
	must.Eq(t, int64(len("its own")), record.Whole[0].Bytes)
}
