// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

const (
	lineReceived  = `{"@message":"Task event","@timestamp":"2026-01-02T03:04:05.000001Z","alloc_id":"a","task":"bench","type":"Received"}`
	lineOther     = `{"@message":"Task event","@timestamp":"2026-01-02T03:04:05.000002Z","alloc_id":"a","task":"bench","type":"Started"}`
	lineRecovered = `{"@message":"setup client process management","@timestamp":"2026-01-02T03:04:05.003001Z","task":{"AllocID":"a","Task":"bench","Cores":false}}`
	lineOneHook   = `{"@message":"finished poststart hooks","@timestamp":"2026-01-02T03:04:05.004Z","alloc_id":"a","name":"stats_hook"}`
	lineAllHooks  = `{"@message":"finished poststart hooks","@timestamp":"2026-01-02T03:04:05.005Z","alloc_id":"a"}`
	lineConnected = `{"@message":"using plugin","@timestamp":"2026-01-02T03:04:04.000Z","driver":"lsdyna"}`
	lineReady     = `{"@message":"initial driver fingerprint","@timestamp":"2026-01-02T03:04:04.010Z","driver":"lsdyna"}`
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	tm, err := time.Parse(time.RFC3339Nano, s)
	must.NoError(t, err)
	return tm
}

func TestLog_FollowsFromItsEndAndTakesLinesWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	must.NoError(t, os.WriteFile(path, []byte("==> Nomad agent\n"+lineAllHooks+"\n"), 0o600))
	tail, err := followLog(path)
	must.NoError(t, err)
	defer tail.close()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	must.NoError(t, err)
	defer func() { must.NoError(t, f.Close()) }()

	lines, err := tail.read()
	must.NoError(t, err)
	must.Len(t, 0, lines, must.Sprint("the past does not count"))

	_, err = f.WriteString("no JSON: finished poststart hooks\n" + lineOneHook + "\n" + lineAllHooks[:40])
	must.NoError(t, err)
	lines, err = tail.read()
	must.NoError(t, err)
	must.Len(t, 1, lines)
	must.MapEmpty(t, perAlloc(lines, poststartDone), must.Sprint("a single hook is not all of them"))

	_, err = f.WriteString(lineAllHooks[40:] + "\n")
	must.NoError(t, err)
	lines, err = tail.read()
	must.NoError(t, err)
	want := at(t, "2026-01-02T03:04:05.005Z")
	must.Eq(t, map[string]time.Time{"a": want}, perAlloc(lines, poststartDone))
	must.Eq(t, want, latest(perAlloc(lines, poststartDone)))
}

func parsed(t *testing.T, raw ...string) []logLine {
	t.Helper()
	lines := make([]logLine, 0, len(raw))
	for _, r := range raw {
		l, ok := parseLine([]byte(r))
		must.True(t, ok, must.Sprint(r))
		lines = append(lines, l)
	}
	return lines
}

func TestDriverTime(t *testing.T) {
	whole := []string{lineConnected, lineReady, lineReceived, lineOther, lineRecovered}
	for _, c := range []struct {
		name  string
		lines []string
		d     driver
		n     int
		want  time.Duration
		wrong bool
	}{
		{name: "a plugin's configuration counts", lines: whole, d: ours, n: 1, want: 13 * time.Millisecond},
		{name: "raw_exec has none", lines: whole, d: rawExec, n: 1, want: 3 * time.Millisecond},
		{name: "a task is missing", lines: whole, d: rawExec, n: 2, wrong: true},
		{name: "the call did not return", lines: whole[:4], d: rawExec, n: 1, wrong: true},
		{name: "no plugin", lines: whole[2:], d: ours, n: 1, wrong: true},
		{name: "an unhealthy plugin", lines: append([]string{lineConnected}, whole[2:]...), d: ours, n: 1, wrong: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := timeOfDriver(parsed(t, c.lines...), c.d, c.n)
			must.Eq(t, c.wrong, err != nil, must.Sprint(err))
			if !c.wrong {
				must.Eq(t, c.want, got.sum())
			}
		})
	}
}

func FuzzParseLine(f *testing.F) {
	for _, line := range []string{lineReceived, lineRecovered, lineOneHook, `{"@message":"Task event","task":7}`} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if l, ok := parseLine(line); ok && l.Time.IsZero() {
			t.Error("a line without a time")
		}
	})
}

func TestParseStamps(t *testing.T) {
	got, err := parseStamps("1700000000123456789 42\n1700000000223456789 43\n")
	must.NoError(t, err)
	must.Eq(t, []stamp{{time.Unix(0, 1700000000123456789), 42}, {time.Unix(0, 1700000000223456789), 43}}, got)
	for _, wrong := range []string{"12\n", "x 1\n", "0 1\n", "1 0\n", "1 -1\n", "1 2 3\n"} {
		_, err := parseStamps(wrong)
		must.Error(t, err, must.Sprint(wrong))
	}
}

func TestReadStamps_ASecondSolverIsAnError(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("1 2\n"), 0o600))
	got, err := readStamps(dir)
	must.NoError(t, err)
	must.Eq(t, map[string]stamp{"a": {time.Unix(0, 1), 2}}, got)
	must.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("1 2\n3 4\n"), 0o600))
	_, err = readStamps(dir)
	must.ErrorContains(t, err, "2 solvers")
}

func FuzzParseStamps(f *testing.F) {
	f.Add("1700000000123456789 42\n")
	f.Fuzz(func(t *testing.T, raw string) { _, _ = parseStamps(raw) })
}

func TestPrivateBytes(t *testing.T) {
	const rollup = "00400000-7fff [rollup]\nRss: 900 kB\nPss: 1 kB\nShared_Clean: 500 kB\nPrivate_Clean:       12 kB\nPrivate_Dirty:      400 kB\nAnonymous: 7 kB\n"
	got, err := privateBytes(rollup)
	must.NoError(t, err)
	must.Eq(t, 412<<10, got)
	for _, wrong := range []string{"", "Private_Clean: 1 kB\n", "Private_Clean: x kB\nPrivate_Dirty: 1 kB\n", "Private_Clean: -1 kB\nPrivate_Dirty: 1 kB\n"} {
		_, err := privateBytes(wrong)
		must.Error(t, err, must.Sprint(wrong))
	}
}

func FuzzPrivateBytes(f *testing.F) {
	f.Add("Private_Clean: 12 kB\nPrivate_Dirty: 400 kB\n")
	f.Fuzz(func(t *testing.T, raw string) {
		if n, err := privateBytes(raw); err == nil && n < 0 {
			t.Errorf("%d bytes", n)
		}
	})
}

func TestRunTime_CountsThreadsThatHaveEnded(t *testing.T) {
	self := []proc.Process{{PID: os.Getpid()}}
	before, err := runTime(self)
	must.NoError(t, err)
	const work = 20 * time.Millisecond
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and the thread ends with the goroutine
		for {
			var on unix.Timespec
			if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &on); err != nil || time.Duration(on.Nano()) > work {
				return
			}
		}
	}()
	<-done
	// The kernel brings a clock up to date with the scheduler's tick, and when the
	// thread is gone.
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		after, err := runTime(self)
		must.NoError(t, err)
		if after-before >= work {
			break
		}
		must.True(t, time.Now().Before(end), must.Sprintf("%s of %s are counted", after-before, work))
	}

	_, err = runTime([]proc.Process{{PID: math.MaxInt32 >> 3}})
	must.Error(t, err)
}

func TestMedian(t *testing.T) {
	must.Eq(t, 2, median([]float64{3, 1, 2}))
	must.Eq(t, 2.5, median([]float64{4, 1, 2, 3}))
	must.True(t, math.IsNaN(median(nil)))
}

func TestReport(t *testing.T) {
	r := newResults()
	r.start[ours], r.start[rawExec] = []float64{0.020}, []float64{0.100}
	r.memory[ours], r.memory[rawExec] = []float64{5 << 20}, []float64{10 << 20}
	var b strings.Builder
	r.load[ours], r.load[rawExec] = load{start: 1, cpu: 0.01}, load{start: 2, cpu: 0.04}
	must.NoError(t, r.print(&b, plan{tasks: 100, load: 200}))
	for _, want := range []string{"20.00 ms", "100.00 ms", "0.200  aim ≤ 0.5: met", "5.00 MiB", "0.500  aim ≤ 0.2: missed", "not measured", "200 tasks at once: start", "1.00 %", "4.00 %", "0.250"} {
		must.StrContains(t, b.String(), want)
	}
}

func TestReport_RawExecTakesNoCPUAtRest(t *testing.T) {
	r := newResults()
	r.load[ours], r.load[rawExec] = load{cpu: 0.01}, load{}
	var b strings.Builder
	must.NoError(t, r.print(&b, plan{load: 200}))
	must.RegexMatch(t, regexp.MustCompile(`CPU at rest, of a core +1\.00 % +0\.00 % +-`), b.String())
}
