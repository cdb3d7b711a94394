// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// FuzzReport checks that a folder with any outputs can be inspected, and that it
// does not matter whether an output is read while it grows or at its end.
func FuzzReport(f *testing.F) {
	for name, data := range fixtureBytes(f) {
		f.Add(data[max(0, len(data)-1024):], "messag", uint16(len(name)))
	}
	f.Add([]byte("     |  Version : smp d R14 |\n"), "job.d3hsp01", uint16(3))
	f.Fuzz(func(t *testing.T, data []byte, name string, cut uint16) {
		if len(name) > 64 || filepath.Clean(name) == "." || !filepath.IsLocal(name) || strings.ContainsAny(name, "/\x00") {
			t.Skip("no name of a file")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		must.NoError(t, os.WriteFile(path, data, 0o600))
		report, err := inspect(t, path, false)
		must.NoError(t, err)
		must.NotEq(t, output.Running, report.Outcome)
		must.NotEq(t, "", report.Reason)
		if whole, err := inspect(t, dir, true); err == nil {
			must.NotEq(t, "", whole.Reason)
		}

		folder, err := Open(dir, ".")
		must.NoError(t, err)
		defer folder.Close()
		at := min(int(cut), len(data))
		must.NoError(t, os.WriteFile(path, data[:at], 0o600))
		early := NewFollower(folder, FollowOptions{Stdout: name})
		_, _ = early.Poll()
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		must.NoError(t, err)
		_, err = file.Write(data[at:])
		must.NoError(t, err)
		must.NoError(t, file.Close())
		grown, err := early.Drain(ctx)
		must.NoError(t, err)
		fresh, err := NewFollower(folder, FollowOptions{Stdout: name}).Drain(ctx)
		must.NoError(t, err)
		must.Eq(t, fresh, grown)
	})
}

func fixtureBytes(tb testing.TB) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob("../output/testdata/*.*")
	must.NoError(tb, err)
	all := map[string][]byte{}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || !info.Mode().IsRegular() {
			continue
		}
		data, err := os.ReadFile(f)
		must.NoError(tb, err)
		all[f] = data
	}
	return all
}

// FuzzRecord: the record of a run is in the run folder, where the task's user can
// write anything.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"identity":{"deck":"1f","solver":"s:1","parallel":"smp","precision":"double","processors":1,"ranks":1},"started":"2026-11-22T22:26:13Z"}`))
	f.Add([]byte(`{"identity":{},"tried":["d3dump01","../x"]}`))
	f.Add([]byte(`{"identity":{"processors":-1},"started":"soon"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		must.NoError(t, os.WriteFile(dir+"/"+RecordFile, data, 0o644))
		must.NoError(t, os.WriteFile(dir+"/d3dump01", []byte("x"), 0o644))
		folder, err := Open(dir, ".")
		must.NoError(t, err)
		defer folder.Close()
		recorded, err := folder.ReadRecord()
		if err != nil {
			return
		}
		choice, err := SelectRestart(t.Context(), folder, recorded, recorded.Identity, lsdyna.DefaultStdout)
		must.NoError(t, err)
		must.Eq(t, "", choice.Dump) // no output of this folder holds a dump line
	})
}
