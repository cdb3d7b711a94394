// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
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
