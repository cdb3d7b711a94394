// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package history

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

var ended = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func entry(run int, outcome string) Entry {
	return Entry{
		Run: fmt.Sprintf("alloc/task/%d", run), JobID: "crash", User: "dora", Outcome: outcome, Reason: "as the test says",
		Cores: 4, CoreSeconds: 0.1 * float64(run), Started: ended.Add(-time.Hour), Ended: &ended, Noted: ended,
	}
}

// opened is a log of a state_dir, small files if bytes is not 0.
func opened(t *testing.T, stateDir string, bytes int64, files int) *Log {
	t.Helper()
	l := NewLog()
	if bytes > 0 {
		l.maxBytes, l.maxFiles = bytes, files
	}
	must.NoError(t, l.Open(stateDir))
	return l
}

func runsOf(t *testing.T, stateDir string) (names []string) {
	t.Helper()
	runs, err := Read(stateDir)
	must.NoError(t, err)
	for _, e := range runs.Entries {
		names = append(names, e.Run)
	}
	return names
}

func totalsOf(t *testing.T, stateDir string) map[string]Total {
	t.Helper()
	totals, err := ReadTotals(stateDir)
	must.NoError(t, err)
	return totals.Outcomes
}

func newest(t *testing.T, stateDir string) string {
	t.Helper()
	dir := filepath.Join(stateDir, dirName)
	files, err := list(dir)
	must.NoError(t, err)
	must.SliceNotEmpty(t, files)
	return filePath(dir, files[len(files)-1])
}

func TestLog_whatIsNotedIsRead(t *testing.T) {
	dir := t.TempDir()
	must.SliceEmpty(t, runsOf(t, dir))
	must.MapEmpty(t, totalsOf(t, dir))
	l := opened(t, dir, 0, 0)
	reached, code := 0.05, 0
	want := entry(1, "completed")
	want.Time, want.ExitCode, want.Licences, want.LicenceKind = &reached, &code, 4, "network"
	must.NoError(t, l.Note(want, false))
	must.NoError(t, l.Note(entry(2, "error"), true))
	runs, err := Read(dir)
	must.NoError(t, err)
	must.Len(t, 2, runs.Entries)
	want.Version = entryVersion
	must.Eq(t, want, runs.Entries[0])
	must.Eq(t, map[string]Total{"completed": {1, 0.1}, "error": {1, 0.2}}, totalsOf(t, dir))
	for _, path := range []string{filepath.Join(dir, dirName), newest(t, dir)} {
		info, err := os.Lstat(path)
		must.NoError(t, err)
		must.Eq(t, 0, info.Mode().Perm()&0o077, must.Sprint(path))
	}
}

// A plugin that finds a run over does not know whether the last one has noted it.
func TestLog_aRunIsNotedOnce(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, 500, 100)
	for i := range 20 {
		must.NoError(t, l.Note(entry(i, "completed"), false))
	}
	l = opened(t, dir, 500, 100)
	for i := range 21 {
		must.NoError(t, l.Note(entry(i, "unknown"), true))
	}
	must.Len(t, 21, runsOf(t, dir))
	must.Eq(t, 1, totalsOf(t, dir)["unknown"].Runs)
}

func TestLog_aRunIsNotTakenForOneWithALongerName(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, 0, 0)
	e := entry(1, "completed")
	e.Run, e.Reason = "alloc/task/12", `"alloc/task/1"`
	must.NoError(t, l.Note(e, false))
	must.NoError(t, l.Note(entry(1, "completed"), true))
	must.Len(t, 2, runsOf(t, dir))
}

func TestLog_isBoundedAndItsTotalsNeverFall(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, 2000, 3)
	sum, before := 0.0, int64(0)
	for i := range 60 {
		must.NoError(t, l.Note(entry(i, "stopped"), false))
		sum += 0.1 * float64(i)
		total := totalsOf(t, dir)["stopped"]
		must.Eq(t, before+1, total.Runs)
		before = total.Runs
		if i%7 == 0 {
			l = opened(t, dir, 2000, 3)
		}
	}
	must.Eq(t, sum, totalsOf(t, dir)["stopped"].CoreSeconds)
	files, err := list(filepath.Join(dir, dirName))
	must.NoError(t, err)
	must.Len(t, 3, files)
	kept := runsOf(t, dir)
	must.Less(t, 60, len(kept))
	must.Eq(t, "alloc/task/59", kept[len(kept)-1])
	for _, n := range files {
		info, err := os.Stat(filePath(filepath.Join(dir, dirName), n))
		must.NoError(t, err)
		must.LessEq(t, 2000, info.Size())
	}
}

// The plugin is killed, or the power fails, at any moment of a rotation.
func TestLog_anInterruptedRotationCountsNothingTwice(t *testing.T) {
	for name, interrupt := range map[string]func(l *Log) error{
		"before the totals are written": func(*Log) error { return nil },
		"after the totals are written": func(l *Log) error {
			newest := l.newest
			err := l.rotate()
			l.newest = newest
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := opened(t, dir, 0, 0)
			for i := range 3 {
				must.NoError(t, l.Note(entry(i, "completed"), false))
			}
			must.NoError(t, interrupt(l))
			must.Eq(t, 3, totalsOf(t, dir)["completed"].Runs)
			l = opened(t, dir, 0, 0)
			must.NoError(t, l.Note(entry(3, "completed"), true))
			must.NoError(t, l.Note(entry(2, "completed"), true))
			must.Eq(t, 4, totalsOf(t, dir)["completed"].Runs)
			must.Len(t, 4, runsOf(t, dir))
		})
	}
}

// What a power cut leaves of a line is no run, and hides none.
func TestLog_aTornLineIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, 0, 0)
	for i := range 2 {
		must.NoError(t, l.Note(entry(i, "completed"), false))
	}
	path := newest(t, dir)
	data, err := os.ReadFile(path)
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(path, data[:len(data)-30], 0o600))

	l = opened(t, dir, 0, 0)
	must.NoError(t, l.Note(entry(1, "unknown"), true)) // the one that was torn
	must.NoError(t, l.Note(entry(2, "completed"), false))
	runs, err := Read(dir)
	must.NoError(t, err)
	must.Eq(t, 1, runs.Damaged)
	must.Eq(t, []string{"alloc/task/0", "alloc/task/1", "alloc/task/2"}, runsOf(t, dir))
	must.Eq(t, 1, totalsOf(t, dir)["unknown"].Runs)
}

func TestLog_whatCannotBeWrittenNowIsWrittenLater(t *testing.T) {
	dir := t.TempDir()
	l := NewLog()
	must.NoError(t, l.Note(entry(0, "completed"), false)) // state_dir is not there yet
	must.NoError(t, os.WriteFile(filepath.Join(dir, dirName), nil, 0o600))
	must.Error(t, l.Open(dir))
	must.NoError(t, os.Remove(filepath.Join(dir, dirName)))
	must.NoError(t, l.Open(dir))
	must.Len(t, 1, runsOf(t, dir))

	must.NoError(t, os.Rename(newest(t, dir), dir+"/away"))
	must.NoError(t, os.Mkdir(filePath(filepath.Join(dir, dirName), 1), 0o700))
	for i := range maxWaiting {
		must.Error(t, l.Note(entry(i+1, "error"), false))
	}
	must.ErrorContains(t, l.Note(entry(5000, "error"), false), "wait to be written")
	must.NoError(t, os.Remove(filePath(filepath.Join(dir, dirName), 1)))
	must.NoError(t, l.Flush())
	must.Eq(t, maxWaiting, totalsOf(t, dir)["error"].Runs)
}

func TestLog_oneThatCannotBeEncodedHoldsUpNoOther(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, 0, 0)
	bad := entry(0, "completed")
	bad.CoreSeconds = math.NaN()
	must.Error(t, l.Note(bad, false))
	must.NoError(t, l.Note(entry(1, "completed"), false))
	must.Eq(t, []string{"alloc/task/1"}, runsOf(t, dir))
}

func TestLog_longTextsAreCut(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, 0, 0)
	e := entry(0, "completed")
	long := strings.Repeat("\x01", 5000)
	e.JobID, e.RunDir, e.Reason, e.Input, e.User, e.Solver = long, long, long, long, long, long
	must.NoError(t, l.Note(e, false))
	info, err := os.Stat(newest(t, dir))
	must.NoError(t, err)
	must.LessEq(t, maxLine, info.Size())
	must.Len(t, 1, runsOf(t, dir))
}

func TestLog_manyAtOnce(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, 3000, 100)
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			if err := l.Note(entry(i, "completed"), i%2 == 0); err != nil {
				t.Error(err)
			}
			if _, err := ReadTotals(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	must.Len(t, 50, runsOf(t, dir))
	must.Eq(t, 50, totalsOf(t, dir)["completed"].Runs)
}

// Of a run over several nodes each has a line with its own cores; the run counts once.
func TestTotals_aRunOverSeveralNodesIsOne(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, 0, 0)
	for i := range 3 {
		e := entry(i, "completed")
		e.Nodes, e.NodeIndex, e.CoreSeconds = 3, i, 10
		must.NoError(t, l.Note(e, false))
	}
	must.Eq(t, map[string]Total{"completed": {1, 30}}, totalsOf(t, dir))
}

func TestTotals_damagedAreSaid(t *testing.T) {
	for content, want := range map[string]string{"": "is damaged", "{": "is damaged", `{"version":2}`: "version 2", "{}": "version 0"} {
		dir := t.TempDir()
		must.NoError(t, os.Mkdir(filepath.Join(dir, dirName), 0o700))
		must.NoError(t, os.WriteFile(filepath.Join(dir, dirName, totalsName), []byte(content), 0o600))
		_, err := ReadTotals(dir)
		must.ErrorContains(t, err, want)
		must.ErrorContains(t, NewLog().Open(dir), "move the file away")
	}
}

func TestRead_followsNoLink(t *testing.T) {
	dir, target := t.TempDir(), filepath.Join(t.TempDir(), "target")
	must.NoError(t, os.WriteFile(target, nil, 0o600))
	must.NoError(t, os.Mkdir(filepath.Join(dir, dirName), 0o700))
	must.NoError(t, os.Symlink(target, filePath(filepath.Join(dir, dirName), 1)))
	_, err := Read(dir)
	must.Error(t, err)
	must.False(t, errors.Is(err, fs.ErrNotExist))
	must.Error(t, NewLog().Open(dir))
}

func FuzzDecode(f *testing.F) {
	line, err := entry(1, "completed").encode()
	must.NoError(f, err)
	f.Add(line)
	f.Add([]byte(`{"version":1,"run":"a","core_seconds":1e308}`))
	f.Add([]byte(`{"version":7,"run":"a/b/c","to come":[1]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, ok := decode(line)
		if !ok {
			return
		}
		again, err := e.encode()
		if err != nil {
			return // a time that JSON reads but does not write
		}
		must.LessEq(t, maxLine, len(again))
		back, ok := decode(again)
		must.True(t, ok)
		must.Eq(t, e.Run, back.Run)
	})
}
