// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package member

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/wire"
)

var testRun = Key("default", "bar", "solve")

func record(index int) Record {
	return Record{
		Run: testRun, Index: index, Nodes: 2, Alloc: "a1", Task: "solve", Node: "n1", Address: "10.77.0.2:4711", Secret: wire.NewSecret().Hex(),
		Ranks: 2, Threads: 1, Cores: [][]int{{0}, {1}}, At: time.Now().UTC().Truncate(time.Second),
		Same: Same{Version: "1", Solver: "/opt/mppdyna", Parallel: "mpp", Precision: "double", MPI: "openmpi", MPIRun: "/usr/bin/mpirun", Input: "main.k", NCPU: 2},
	}
}

func TestRecord_IsReadAsItWasWritten(t *testing.T) {
	dir := t.TempDir()
	_, err := Read(dir, testRun, 1)
	must.ErrorIs(t, err, fs.ErrNotExist)
	first, second := record(1), record(1)
	must.NoError(t, Write(dir, first))
	must.NoError(t, Write(dir, second))
	got, err := Read(dir, testRun, 1)
	must.NoError(t, err)
	second.Version = version
	_, err = Read(dir, Key("default", "bar2", "solve"), 1)
	must.ErrorIs(t, err, fs.ErrNotExist, must.Sprint("another job's in the same folder"))
	_, err = Read(dir, "../x", 1)
	must.ErrorContains(t, err, "is not the key of a run")
	must.Eq(t, second, got)

	info, err := os.Stat(filepath.Join(dir, Folder, fileName(testRun, 1)))
	must.NoError(t, err)
	must.Eq(t, 0o600, info.Mode().Perm())
	info, err = os.Stat(filepath.Join(dir, Folder))
	must.NoError(t, err)
	must.Eq(t, 0o700, info.Mode().Perm())

	must.NoError(t, Remove(dir, first), must.Sprint("another's stays"))
	_, err = Read(dir, testRun, 1)
	must.NoError(t, err)
	must.NoError(t, Remove(dir, second))
	must.NoError(t, Remove(dir, second))
	_, err = os.Stat(filepath.Join(dir, Folder))
	must.ErrorIs(t, err, fs.ErrNotExist)
}

func TestRead_RefusesWhatIsNoRecord(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		want  string
	}{
		"others may read it": {func(t *testing.T, p string) { must.NoError(t, os.Chmod(p, 0o640)) }, "can be read by others than its owner"},
		"a link": {func(t *testing.T, p string) {
			must.NoError(t, os.Rename(p, p+".x"))
			must.NoError(t, os.Symlink(p+".x", p))
		}, "too many levels"},
		"damaged":   {func(t *testing.T, p string) { must.NoError(t, os.WriteFile(p, []byte("{"), 0o600)) }, "unexpected end"},
		"too large": {func(t *testing.T, p string) { must.NoError(t, os.Truncate(p, maxRecord+1)) }, "larger than"},
		"another's": {func(t *testing.T, p string) {
			must.NoError(t, os.Rename(p, filepath.Join(filepath.Dir(p), fileName(testRun, 0))))
			must.NoError(t, os.Link(filepath.Join(filepath.Dir(p), fileName(testRun, 0)), p))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			must.NoError(t, Write(dir, record(1)))
			c.spoil(t, filepath.Join(dir, Folder, fileName(testRun, 1)))
			index := 1
			if c.want == "" {
				index, c.want = 0, "it is of node 1"
			}
			_, err := Read(dir, testRun, index)
			must.ErrorContains(t, err, c.want)
		})
	}
}

func TestWrite_RefusesWhatCannotBe(t *testing.T) {
	for want, spoil := range map[string]func(*Record){
		"its run is":            func(r *Record) { r.Run = "../../x" },
		"node 2 of 2":           func(r *Record) { r.Index = 2 },
		"node 0 of 1":           func(r *Record) { r.Index, r.Nodes = 0, 1 },
		"its allocation is":     func(r *Record) { r.Alloc = "../x" },
		"not an IP address":     func(r *Record) { r.Address = "host:1" },
		"its port is":           func(r *Record) { r.Address = "10.0.0.1:0" },
		"0 ranks":               func(r *Record) { r.Ranks = 0 },
		"cores for 1 of 2":      func(r *Record) { r.Cores = r.Cores[:1] },
		"not 32 bytes in hexad": func(r *Record) { r.Secret = "x" },
	} {
		r := record(1)
		spoil(&r)
		dir := t.TempDir()
		err := Write(dir, r)
		must.ErrorContains(t, err, want)
		_, err = os.Stat(filepath.Join(dir, Folder))
		must.True(t, errors.Is(err, fs.ErrNotExist))
	}
}

func TestDiffers(t *testing.T) {
	a, b := record(0), record(1)
	must.Eq(t, "", a.Differs(b))
	b.Node, b.Same.Precision = "n2", "single"
	must.Eq(t, `precision is "double" on node n1 and "single" on node n2`, a.Differs(b))
	b.Same.Precision, b.Threads = "double", 4
	must.True(t, strings.HasPrefix(a.Differs(b), "threads of a rank"))
}
