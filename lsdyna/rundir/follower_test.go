// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// poll polls and fails on an error.
func poll(t *testing.T, f *Follower) output.Snapshot {
	t.Helper()
	s, err := f.Poll()
	must.NoError(t, err)
	return s
}

func TestFollower_readsAGrowingRun(t *testing.T) {
	dir := t.TempDir()
	follower := NewFollower(openFolder(t, dir), FollowOptions{})
	must.Eq(t, output.PhaseStarting, poll(t, follower).Phase)

	data, err := os.ReadFile("../output/testdata/completed-smp.stdout")
	must.NoError(t, err)
	text := string(data)
	path := write(t, dir, "stdout", "")
	var phases []output.Phase
	for line := range strings.SplitAfterSeq(text, "\n") {
		appendTo(t, path, line)
		if s := poll(t, follower); len(phases) == 0 || s.Phase != phases[len(phases)-1] {
			phases = append(phases, s.Phase)
		}
	}
	must.Eq(t, []output.Phase{output.PhaseStarting, output.PhaseLicence, output.PhaseReading, output.PhaseInitialising, output.PhaseSolving, output.PhaseEnding, output.PhaseEnded}, phases)
	s, err := follower.Drain(t.Context())
	must.NoError(t, err)
	must.Eq(t, output.Completed, output.Decide(s, output.Exit{Known: true}).Kind)
	must.Eq(t, []string{"stdout"}, s.Sources)
	must.Eq(t, "network", s.LicenceKind)
	must.Eq(t, 182_000, s.MemoryWords)
	must.Len(t, 2, s.Dumps)
}

func TestFollower_readsEachByteOnce(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "stdout", " *** Warning 1 (KEY+1)\n *** Warn")
	follower := NewFollower(openFolder(t, dir), FollowOptions{})
	must.Eq(t, 1, poll(t, follower).Warnings)
	must.Eq(t, 1, poll(t, follower).Warnings)
	appendTo(t, path, "ing 2 (KEY+2)\n")
	must.Eq(t, 2, poll(t, follower).Warnings)
}

func TestFollower_ignoresOutputsOfEarlierRuns(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	copyFile(t, "../output/testdata/completed-smp.stdout", filepath.Join(dir, "stdout"))
	copyFile(t, "../output/testdata/completed-r6.messag", filepath.Join(dir, "messag"))
	copyFile(t, "../output/testdata/completed.d3hsp", filepath.Join(dir, "d3hsp"))
	old, err := folder.Snapshot(t.Context(), "", "stdout")
	must.NoError(t, err)
	follower := NewFollower(folder, FollowOptions{Old: old})
	s := poll(t, follower)
	must.SliceEmpty(t, s.Sources)
	must.Eq(t, output.NoBanner, s.Banner)
	must.Eq(t, output.Unknown, output.Decide(s, output.Exit{Known: true}).Kind)

	t.Run("appended", func(t *testing.T) {
		appendTo(t, filepath.Join(dir, "messag"), " *** Error 40500 (SOL+500)\n     NaN\n\n")
		s := poll(t, follower)
		must.Eq(t, []string{"messag"}, s.Sources)
		must.Eq(t, 1, s.Errors)
		must.Eq(t, output.NoBanner, s.Banner)
	})
	t.Run("overwritten in place, longer than before", func(t *testing.T) {
		data, err := os.ReadFile("../output/testdata/completed-smp.stdout")
		must.NoError(t, err)
		text := strings.ReplaceAll(string(data), "03/02/25", "04/02/25") + strings.Repeat(" filler\n", 1000)
		write(t, dir, "stdout", text)
		must.Eq(t, output.NormalBanner, poll(t, follower).Banner)
	})
	t.Run("replaced by another file", func(t *testing.T) {
		must.NoError(t, os.Remove(filepath.Join(dir, "d3hsp")))
		copyFile(t, "../output/testdata/completed.d3hsp", filepath.Join(dir, "d3hsp"))
		must.SliceContains(t, poll(t, follower).Sources, "d3hsp")
	})
}

func TestFollower_startsAgainWhenAFileIsReplaced(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "stdout", strings.Repeat(" *** Warning 1 (KEY+1)\n", 5))
	follower := NewFollower(openFolder(t, dir), FollowOptions{})
	must.Eq(t, 5, poll(t, follower).Warnings)
	write(t, dir, "stdout", " *** Warning 1 (KEY+1)\n")
	must.Eq(t, 1, poll(t, follower).Warnings)
}

// status.out is written anew with one line, of the same size each time.
func TestFollower_estimatesFromAnOutputThatIsWrittenAnew(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "d3hsp", " termination time...............................    0.1000E+00\n")
	follower := NewFollower(openFolder(t, dir), FollowOptions{})
	status := func(second int) output.Snapshot {
		t.Helper()
		path := write(t, dir, "status.out", fmt.Sprintf(" Title\n%8d t %.4E dt 1.00E-04 status                       03/02/25 10:%02d:%02d\n", second*10, float64(second)*1e-3, second/60, second%60))
		written := time.Now().Add(time.Duration(second) * time.Second) // two writes may be within one step of the folder's clock
		must.NoError(t, os.Chtimes(path, written, written))
		return poll(t, follower)
	}
	must.False(t, status(20).HasETA)
	for second := 21; second <= 40; second++ {
		s := status(second)
		must.Eq(t, fmt.Sprintf("%.3f", float64(second)*1e-3), fmt.Sprintf("%.3f", s.Time))
		must.True(t, s.HasETA)
		must.Between(t, time.Duration(99-second)*time.Second, s.Remaining.Likely, time.Duration(101-second)*time.Second)
	}
	t.Run("while it is written", func(t *testing.T) {
		write(t, dir, "status.out", "")
		must.Eq(t, time.Minute, poll(t, follower).Remaining.Likely)
	})
	t.Run("and after that", func(t *testing.T) {
		must.Eq(t, 50*time.Second, status(50).Remaining.Likely.Round(time.Second))
	})
	t.Run("as another file", func(t *testing.T) {
		must.NoError(t, os.Remove(filepath.Join(dir, "status.out")))
		must.Eq(t, 40*time.Second, status(60).Remaining.Likely.Round(time.Second))
	})
}

func TestFollower_takesTheMessagesOfTheNewestRestart(t *testing.T) {
	dir := t.TempDir()
	long := time.Now().Add(-time.Hour)
	must.NoError(t, os.Chtimes(write(t, dir, "messag", " *** Warning 1 (KEY+1)\n"), long, long))
	write(t, dir, "messag01", " *** Error 40500 (SOL+500)\n     NaN\n\n")
	write(t, dir, "other.messag", " *** Warning 1 (KEY+1)\n")
	write(t, dir, "mes0001", " *** Warning 1 (KEY+1)\n")
	s := poll(t, NewFollower(openFolder(t, dir), FollowOptions{}))
	must.Eq(t, []string{"messag01"}, s.Sources)
	must.Eq(t, 1, s.Errors)
}

func TestFollower_countsErrorsOnceOverAllSources(t *testing.T) {
	dir := t.TempDir()
	e := " *** Error 40500 (SOL+500)\n     NaN\n\n"
	write(t, dir, "stdout", e+e)
	write(t, dir, "job7.messag", e+e+e)
	s := poll(t, NewFollower(openFolder(t, dir), FollowOptions{JobID: "job7"}))
	must.Eq(t, 3, s.Errors)
	must.Eq(t, output.SolverError{Code: 40500, Class: "SOL", Text: "NaN"}, *s.FirstError)
	must.Eq(t, []string{"stdout", "job7.messag"}, s.Sources)
}

func TestFollower_findsTheErrorOfAnotherRank(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	write(t, dir, "mes0002", " *** Error 10246 (KEY+246)\n     of an earlier run\n\n")
	old, err := folder.Snapshot(t.Context(), "")
	must.NoError(t, err)
	write(t, dir, "mes0000", " E r r o r   t e r m i n a t i o n\n")
	write(t, dir, "mes0001", " *** Error 40509 (SOL+509)\n     negative volume\n\n")
	s, err := NewFollower(folder, FollowOptions{Old: old}).Drain(t.Context())
	must.NoError(t, err)
	must.Eq(t, 1, s.Errors)
	must.Eq(t, 40509, s.FirstError.Code)
}

// The Fortran runtime and mpirun write to stderr, LS-DYNA itself does not.
func TestFollower_takesFromStderrOnlyHowTheRunCrashed(t *testing.T) {
	for line, want := range map[string]output.Kind{
		"forrtl: error (78): process killed (SIGTERM)":                                         output.Killed,
		"mpirun noticed that process rank 1 with PID 7 on node x exited on signal 9 (Killed).": output.Killed,
		"forrtl: severe (174): SIGSEGV, segmentation fault occurred":                           output.Failed,
		" *** termination time reached ***\n N o r m a l    t e r m i n a t i o n":             output.Unknown,
	} {
		dir := t.TempDir()
		copyFile(t, "../output/testdata/cut.stdout", filepath.Join(dir, "stdout"))
		write(t, dir, "stderr", line+"\n")
		s, err := NewFollower(openFolder(t, dir), FollowOptions{}).Drain(t.Context())
		must.NoError(t, err)
		must.Eq(t, []string{"stdout"}, s.Sources)
		must.Eq(t, output.NoBanner, s.Banner)
		must.Eq(t, want, output.Decide(s, output.Exit{}).Kind, must.Sprint(line))
	}
	dir := t.TempDir()
	write(t, dir, "stderr", "forrtl: error (78): process killed (SIGTERM)\n")
	_, err := inspect(t, dir, false)
	must.ErrorContains(t, err, "holds no LS-DYNA output")
}

func TestFollower_readsStderrByItsName(t *testing.T) {
	for _, c := range []struct {
		name, file string
		opts       FollowOptions
		want       output.Kind
	}{
		{"the default beside the default", "stderr", FollowOptions{}, output.Killed},
		{"another name beside the default", "err.txt", FollowOptions{Stderr: "err.txt"}, output.Killed},
		{"another name replaces the default", "stderr", FollowOptions{Stderr: "err.txt"}, output.Unknown},
		{"no default beside another name", "stderr", FollowOptions{Stdout: "run.log"}, output.Unknown},
		{"both names", "run.err", FollowOptions{Stdout: "run.log", Stderr: "run.err"}, output.Killed},
		{"not in the folder", "../stderr", FollowOptions{Stderr: "../stderr"}, output.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			must.NoError(t, os.Mkdir(dir, 0o755))
			copyFile(t, "../output/testdata/cut.stdout", filepath.Join(dir, cmp.Or(c.opts.Stdout, "stdout")))
			write(t, dir, c.file, "forrtl: error (78): process killed (SIGTERM)\n")
			s, _ := NewFollower(openFolder(t, dir), c.opts).Drain(t.Context())
			must.Eq(t, c.want, output.Decide(s, output.Exit{}).Kind)
		})
	}
}

func TestFollower_keepsTheLastWords(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "stdout", " one\n\n  two  \r\n   \n")
	follower := NewFollower(openFolder(t, dir), FollowOptions{})
	must.Eq(t, "two", poll(t, follower).LastWords)
	appendTo(t, path, "\n thr")
	must.Eq(t, "two", poll(t, follower).LastWords)
	appendTo(t, path, "ee\n")
	must.Eq(t, "three", poll(t, follower).LastWords)
	appendTo(t, path, "four")
	s, err := follower.Drain(t.Context())
	must.NoError(t, err)
	must.Eq(t, "four", s.LastWords)
}

func TestFollower_leavesOutAnEarlierRunsHeader(t *testing.T) {
	dir := t.TempDir()
	copyFile(t, "../output/testdata/completed-r6.messag", filepath.Join(dir, "messag")) // of 2015
	copyFile(t, "../output/testdata/cut.stdout", filepath.Join(dir, "stdout"))          // of 2025
	s := poll(t, NewFollower(openFolder(t, dir), FollowOptions{}))
	must.Eq(t, []string{"stdout"}, s.Sources)
	must.Eq(t, output.NoBanner, s.Banner)
}

func TestFollower_isNotLedAstrayByOddFiles(t *testing.T) {
	dir := t.TempDir()
	secret := write(t, t.TempDir(), "secret", " N o r m a l    t e r m i n a t i o n\n")
	must.NoError(t, os.Symlink(secret, filepath.Join(dir, "stdout")))
	must.NoError(t, unix.Mkfifo(filepath.Join(dir, "messag"), 0o644))
	must.NoError(t, os.Mkdir(filepath.Join(dir, "d3hsp"), 0o755))
	must.NoError(t, os.Symlink("/dev/zero", filepath.Join(dir, "status.out")))
	follower := NewFollower(openFolder(t, dir), FollowOptions{})

	s, err := follower.Poll()
	must.ErrorIs(t, err, ErrNotRegular)
	must.Eq(t, output.NoBanner, s.Banner)
	_, err = follower.Poll()
	must.NoError(t, err, must.Sprint("the same trouble is told once"))

	must.NoError(t, os.Remove(filepath.Join(dir, "messag")))
	copyFile(t, "../output/testdata/completed-r6.messag", filepath.Join(dir, "messag"))
	s, _ = follower.Poll()
	must.Eq(t, output.NormalBanner, s.Banner)
}

func TestFollower_jumpsOverHolesOfASparseFile(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "stdout", "")
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	must.NoError(t, err)
	const tenGB = 10 << 30
	if err := file.Truncate(tenGB); err != nil {
		t.Skip("no sparse files here:", err)
	}
	_, err = file.WriteAt([]byte("\n *** Warning 1 (KEY+1)\n"), tenGB)
	must.NoError(t, err)
	must.NoError(t, file.Close())

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	begin := time.Now()
	s, err := NewFollower(openFolder(t, dir), FollowOptions{}).Drain(ctx)
	must.NoError(t, err)
	must.Eq(t, 1, s.Warnings)
	t.Log("10 GB of hole in", time.Since(begin))
}

// While the follower reads, the task's user replaces the file by everything else.
func TestFollower_withstandsAUserWhoSwapsFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "stdout")
	secret := write(t, t.TempDir(), "secret", " *** Error 40500 (SOL+500)\n     secret\n\n N o r m a l    t e r m i n a t i o n\n")
	plants := []func() error{
		func() error { return os.WriteFile(path, []byte(" *** Warning 1 (KEY+1)\n"), 0o644) },
		func() error { return os.Symlink(secret, path) },
		func() error { return unix.Mkfifo(path, 0o644) },
		func() error { return os.Mkdir(path, 0o755) },
		func() error { return os.Symlink("/dev/zero", path) },
		func() error { return os.Symlink(path, path) },
		func() error { return nil },
	}
	follower := NewFollower(openFolder(t, dir), FollowOptions{})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				_ = os.Remove(path)
				_ = plants[i%len(plants)]()
			}
		}
	}()
	seen := map[string]bool{}
	for polls, deadline := 0, time.Now().Add(time.Minute); time.Now().Before(deadline) && (len(seen) < 3 || polls < 5000); polls++ {
		s, err := follower.Poll()
		must.Eq(t, 0, s.Errors, must.Sprint("a link was followed"))
		must.Eq(t, output.NoBanner, s.Banner)
		switch {
		case errors.Is(err, ErrNotRegular):
			seen["odd"] = true
		case err != nil:
			must.ErrorIs(t, err, unix.ELOOP, must.Sprint("became a link between two looks"))
		case s.Warnings > 0:
			seen["file"] = true
		default:
			seen["nothing"] = true
		}
	}
	close(stop)
	<-stopped
	must.MapLen(t, 3, seen)
}

func TestFollower_drainEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "stdout", " *** Warning 1 (KEY+1)\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := NewFollower(openFolder(t, dir), FollowOptions{}).Drain(ctx)
	must.ErrorIs(t, err, context.Canceled)
	must.Eq(t, 1, s.Warnings)
}

func TestFollower_drainTakesALastLineWithoutEnd(t *testing.T) {
	dir := t.TempDir()
	copyFile(t, "../output/testdata/error-command-line.stdout", filepath.Join(dir, "stdout"))
	follower := NewFollower(openFolder(t, dir), FollowOptions{})
	must.Eq(t, output.NoBanner, poll(t, follower).Banner)
	s, err := follower.Drain(t.Context())
	must.NoError(t, err)
	must.Eq(t, output.ErrorBanner, s.Banner)
}

func TestFollower_survivesAVanishingFolder(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "run")
	must.NoError(t, os.Mkdir(dir, 0o755))
	copyFile(t, "../output/testdata/cut.stdout", filepath.Join(dir, "stdout"))
	follower := NewFollower(openFolder(t, dir), FollowOptions{})
	poll(t, follower)
	must.NoError(t, os.RemoveAll(dir))
	s, _ := follower.Poll()
	must.Eq(t, 9000, s.Cycle, must.Sprint("what was known stays known"))
}

func BenchmarkFollower_pollOfASilentRun(b *testing.B) {
	dir := b.TempDir()
	for name, from := range map[string]string{"stdout": "cut.stdout", "messag": "cut.stdout", "d3hsp": "completed.d3hsp"} {
		data, err := os.ReadFile(filepath.Join("..", "output", "testdata", from))
		must.NoError(b, err)
		must.NoError(b, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	past := time.Now().Add(-time.Hour)
	must.NoError(b, os.Chtimes(dir, past, past))
	folder, err := Open(dir, ".")
	must.NoError(b, err)
	defer folder.Close()
	follower := NewFollower(folder, FollowOptions{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := follower.Poll(); err != nil {
			b.Fatal(err)
		}
	}
}
