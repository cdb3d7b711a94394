// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/deck"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/identity"
)

// A run in a folder with very many outputs of earlier ones has a record of modest size,
// and takes none of them for its own.
func TestSnapshot_ofAVeryFullFolder(t *testing.T) {
	dir := t.TempDir()
	before := time.Now().Add(-time.Hour)
	old := func(name, text string) {
		path := write(t, dir, name, text)
		must.NoError(t, os.Chtimes(path, before, before))
	}
	const jobID = "crash"
	for i := range 10_000 {
		old(fmt.Sprintf("crash.mes%02d%04d", i/9999, i%9999+1), "*** Error 10246 (IN0246)\n")
	}
	for i := range 2_000 {
		old(fmt.Sprintf("crash.messag%04d", i), " N o r m a l    t e r m i n a t i o n\n")
		old(fmt.Sprintf("other.d3hsp%04d", i), "another job's\n")
		old(fmt.Sprintf("d3dump%02d", i), "")
	}
	folder := openFolder(t, dir)
	outputs, err := folder.Snapshot(t.Context(), jobID)
	must.NoError(t, err)
	data, err := json.Marshal(outputs)
	must.NoError(t, err)
	must.Less(t, maxOldBytes, len(data))
	must.MapContainsKey(t, outputs, rest)

	follow := func() *Follower {
		var back Outputs // as a recovery reads it
		must.NoError(t, json.Unmarshal(data, &back))
		return NewFollower(folder, FollowOptions{JobID: jobID, Old: back})
	}
	s, err := follow().Drain(t.Context())
	must.NoError(t, err)
	must.Eq(t, 0, s.Errors)
	must.Eq(t, output.Banner(""), s.Banner)

	// What this run writes is its own, also under a name that was there before.
	write(t, dir, "crash.mes000001", " *** Error 10246 (IN0246)\n     of this run\n")
	write(t, dir, "crash.messag0000", "one\n")
	must.True(t, follow().written("crash.mes000001"))
	must.True(t, follow().written("crash.messag0000"))
	must.False(t, follow().written("crash.messag0001"))
	must.False(t, follow().written("crash.mes000002"))
	offset, fresh, err := outputs.startOffset("crash.messag0001", open(t, filepath.Join(dir, "crash.messag0001")))
	must.NoError(t, err)
	must.False(t, fresh)
	must.Zero(t, offset)
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.Open(path)
	must.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func TestSnapshot_namesAllOfAnOrdinaryFolder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"messag", "d3hsp", "status.out", "mes0000", "d3dump01", "other.messag"} {
		write(t, dir, name, "x")
	}
	for rank := range 1000 {
		write(t, dir, fmt.Sprintf("mes%04d", rank+1), "x")
	}
	outputs, err := openFolder(t, dir).Snapshot(t.Context(), "")
	must.NoError(t, err)
	must.MapLen(t, 1004, outputs)
	must.MapNotContainsKey(t, outputs, rest)
}

func TestSnapshot_endsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "mes0001", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := openFolder(t, dir).Snapshot(ctx, "")
	must.ErrorIs(t, err, context.Canceled)
}

// A record that can be written can be read.
func TestRecord_isBounded(t *testing.T) {
	folder := openFolder(t, t.TempDir())
	r := Record{Identity: identity.Identity{Deck: "deck"}}
	for i := range 1000 {
		r.Chosen = &output.Dump{Name: "d3dump01", Cycle: int64(i)}
		r.RejectChosen()
	}
	must.SliceLen(t, maxBad, r.Bad)
	must.NoError(t, folder.WriteRecord(r))
	back, err := folder.ReadRecord()
	must.NoError(t, err)
	must.Eq(t, int64(999), back.Bad[maxBad-1].Cycle)
	r.Identity.JobID = strings.Repeat("x", maxRecord)
	must.ErrorContains(t, folder.WriteRecord(r), "more than the 131072 that are read")
	again, err := folder.ReadRecord()
	must.NoError(t, err)
	must.Eq(t, back, again)
}

// No run is refused because too much would have to be recorded of it.
func TestRecord_holdsTheMostOfEverything(t *testing.T) {
	dump := output.Dump{Name: "d3dump01", Time: 1.2345678901234567e-05, Cycle: 1<<40 - 1, Wall: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), Followed: true}
	long := strings.Repeat("x", 240) + ".d3dump01"
	r := Record{Identity: identity.Identity{Deck: strings.Repeat("f", 64), JobID: long}, Started: time.Now(), Chosen: &dump}
	r.Reads(deck.Deck{Includes: slices.Repeat([]string{long}, 1000)})
	r.Earlier, r.Bad = slices.Repeat([]output.Dump{dump}, maxEarlier), slices.Repeat([]output.Dump{dump}, maxBad)
	r.Whole = slices.Repeat([]WholeDump{{Dump: dump, Bytes: 1 << 50}}, maxWhole)
	r.Before = slices.Repeat([]DumpFile{{Name: long, Bytes: 1 << 50, ModTime: time.Now().UTC()}}, maxBefore)
	r.Asked = slices.Repeat([]AskedDump{{WholeDump: r.Whole[0], File: long, ModTime: time.Now().UTC(), Checkpoint: true}}, maxAsked)
	r.Ours = &dump
	must.NoError(t, openFolder(t, t.TempDir()).WriteRecord(r))
}
