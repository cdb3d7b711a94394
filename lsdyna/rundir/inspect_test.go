// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// row is what an output file must give.
type row struct {
	file                string
	outcome             output.Kind
	time, end           float64 // 0: null
	cycle               int64   // with time 0 and cycle 0: as timeKnown says
	timeKnown           bool
	version             string
	parallel            lsdyna.Parallel
	precision           lsdyna.Precision
	processors          int
	warnings, errors    int64
	firstCode           int
	firstClass, reasons string // reasons: part of the reason
}

var fixtures = []row{
	{file: "completed-smp.stdout", outcome: output.Completed, time: .02, end: .02, cycle: 10001, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2, reasons: "t = 0.02 of 0.02, 10001 cycles, 2m5s"},
	{file: "completed-crlf.stdout", outcome: output.Completed, time: .02, end: .02, cycle: 10001, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2},
	{file: "completed-lsopt.stdout", outcome: output.Completed, time: .02, end: .02, cycle: 10001, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2},
	{file: "completed-licence-noise.stdout", outcome: output.Completed, time: .02, end: .02, cycle: 10001, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2},
	{file: "completed-nul-latin1.stdout", outcome: output.Completed, time: .02, end: .02, cycle: 10001, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2},
	{file: "completed-r6.messag", outcome: output.Completed, time: 3.5024e-2, cycle: 576, version: "R6.1.1", parallel: lsdyna.SMP, precision: lsdyna.Single, processors: 2, reasons: "3s"},
	{file: "completed-mpp.mes0000", outcome: output.Completed, time: .05, cycle: 49331, version: "R12.2", parallel: lsdyna.MPP, precision: lsdyna.Double, processors: 4, reasons: "4m26s"},
	{file: "completed-hybrid.stdout", outcome: output.Completed, time: .05, end: .05, cycle: 49331, version: "R13.1.1", parallel: lsdyna.Hybrid, precision: lsdyna.Single, processors: 4},
	{file: "completed.d3hsp", outcome: output.Completed, time: .02, end: .02, cycle: 10001, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2},
	{file: "completed-long.stdout", outcome: output.Completed, time: 20, end: 20, cycle: 54773890, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2, reasons: "11h6m40s"},
	{file: "rank1-alone.mes0001", outcome: output.Unknown, time: .05, cycle: 49331, version: "R12.2", parallel: lsdyna.MPP, precision: lsdyna.Double, processors: 4, reasons: "does not say that the termination time was reached"},
	{file: "cut.stdout", outcome: output.Unknown, time: .018, end: .02, cycle: 9000, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2, reasons: "exit status unknown"},
	{file: "cut-implicit.stdout", outcome: output.Unknown, time: .2, end: 120, cycle: 3, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2},
	{file: "cut-exponent.messag", outcome: output.Unknown, time: 1.5e-103, cycle: 1302, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double},
	{file: "stopped-kill-file.stdout", outcome: output.Stopped, time: 1.3908, end: 40, cycle: 1302, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2, reasons: "d3kil: t = 1.391 of 40"},
	{file: "stopped-early-normal.stdout", outcome: output.Stopped, time: 1.3908, end: 40, cycle: 1302, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2, reasons: "before the end time (termination due to energy ratio)"},
	{file: "stopped-sense-switch.stdout", outcome: output.Stopped, time: .1, end: 240, cycle: 9, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 1, reasons: "sense switch stop"},
	{file: "error.stdout", outcome: output.Failed, time: .0123, end: .02, cycle: 6150, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2, warnings: 3, errors: 2, firstCode: 40500, firstClass: "SOL", reasons: "*** Error 40500 (SOL+500) NaN detected on processor # 3 node id 77"},
	{file: "error-no-number.stdout", outcome: output.Failed, timeKnown: true, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2, reasons: "without an error number"},
	{file: "error-command-line.stdout", outcome: output.Failed, errors: 1, firstCode: 70004, firstClass: "OTH", reasons: "unknown option: my"},
	{file: "error-without-banner.stdout", outcome: output.Failed, time: .01, end: .02, cycle: 5000, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2, errors: 2, firstCode: 40500, firstClass: "SOL", reasons: "ended without a banner after: *** Error 40500"},
	{file: "student-limit.stdout", outcome: output.LicenceError, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, errors: 1, firstCode: 70043, firstClass: "OTH", reasons: "exceeds limit 10000"},
	{file: "no-licence.stdout", outcome: output.LicenceError, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, reasons: "could not reach the license server"},
	{file: "waiting-licence.stdout", outcome: output.Unknown, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double},
	{file: "killed-sigterm.stdout", outcome: output.Killed, time: .01, end: .02, cycle: 5000, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2, reasons: "process killed (SIGTERM)"},
	{file: "crashed.stdout", outcome: output.Failed, time: .01, end: .02, cycle: 5000, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 2, reasons: "segmentation fault"},
	{file: "two-runs.stdout", outcome: output.Failed, time: .3, end: .5, cycle: 11, version: "R13.1.1", parallel: lsdyna.SMP, precision: lsdyna.Single, processors: 2, errors: 2, firstCode: 40500, firstClass: "SOL"},
}

// samples are real outputs of LS-DYNA, as the README beside them describes them.
var samples = []row{
	{file: "r6-smp-completed.messag", outcome: output.Completed, time: 3.0003e-3, cycle: 1963, version: "R6.1.1", parallel: lsdyna.SMP, precision: lsdyna.Single, processors: 2, reasons: "4s"},
	{file: "mlp6-gauss-pml.messag", outcome: output.Completed, time: 1.0001e-2, cycle: 16386, version: "R6.1.1", parallel: lsdyna.SMP, precision: lsdyna.Single, processors: 4},
	{file: "r7-smp-completed.d3hsp", outcome: output.Completed, time: 3.5024e-2, end: .035, cycle: 576, version: "R7.1.2", parallel: lsdyna.SMP, precision: lsdyna.Single, processors: 2, warnings: 1},
	{file: "r9-smp-completed.d3hsp", outcome: output.Completed, time: 3.5024e-2, end: .035, cycle: 576, version: "R9.3.1", parallel: lsdyna.SMP, precision: lsdyna.Single, processors: 2},
	{file: "r12-smp-completed.d3hsp", outcome: output.Completed, time: 3.5031e-2, end: .035, cycle: 640, version: "R12.2", parallel: lsdyna.SMP, precision: lsdyna.Single, processors: 2},
	{file: "r14-smp-completed-implicit.stdout", outcome: output.Completed, time: 120, end: 120, cycle: 5372, version: "R14.0", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 8, reasons: "4h28m16s"},
	{file: "r14-smp-sense-switch-stop.messag", outcome: output.Stopped, time: .1, cycle: 9, version: "R14.0", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 1, warnings: 1},
	{file: "r14-smp-sense-switch-stop.d3hsp", outcome: output.Stopped, time: .1, end: 240, cycle: 9, version: "R14.0", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 1, warnings: 1},
	{file: "r14-smp-sigterm-a.stdout", outcome: output.Killed, time: .8, end: 120, cycle: 9, version: "R14.0", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 8, warnings: 1},
	{file: "r14-smp-sigterm-b.stdout", outcome: output.Killed, time: 9, end: 120, cycle: 91, version: "R14.0", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 8},
	{file: "r14-smp-missing-include.stdout", outcome: output.Failed, timeKnown: true, version: "R14.0", parallel: lsdyna.SMP, precision: lsdyna.Double, processors: 8, errors: 6, firstCode: 10087, firstClass: "KEY", reasons: "File boundary+geo.k does not exist"},
}

// inspect reads a folder, or one file.
func inspect(t *testing.T, path string, running bool) (output.Report, error) {
	t.Helper()
	dir, name := path, ""
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		dir, name = filepath.Split(path)
	}
	folder, err := Open(dir, ".")
	if err != nil {
		return output.Report{}, err
	}
	defer folder.Close()
	return folder.Report(t.Context(), name, running)
}

func TestReport_everyFormatAndOutcome(t *testing.T) {
	checkRows(t, "../output/testdata", fixtures)
}

func TestReport_realOutputs(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "samples")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no real outputs beside this repository")
	}
	checkRows(t, dir, samples)
}

func TestFixtures_areAllChecked(t *testing.T) {
	files, err := filepath.Glob("../output/testdata/*.*")
	must.NoError(t, err)
	listed := map[string]bool{}
	for _, r := range fixtures {
		listed[r.file] = true
	}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() {
			must.True(t, listed[filepath.Base(f)], must.Sprint(f))
		}
	}
}

func checkRows(t *testing.T, dir string, rows []row) {
	for _, want := range rows {
		t.Run(want.file, func(t *testing.T) {
			got, err := inspect(t, filepath.Join(dir, want.file), false)
			must.NoError(t, err)
			must.Eq(t, want.outcome, got.Outcome, must.Sprint(got.Reason))
			must.StrContains(t, got.Reason, want.reasons)
			must.False(t, strings.Contains(got.Reason, "\n"))
			must.Eq(t, orNil(want.end), got.EndTime)
			must.Eq(t, orNil(want.version), got.Version)
			must.Eq(t, orNil(want.parallel), got.Parallel)
			must.Eq(t, orNil(want.precision), got.Precision)
			must.Eq(t, orNil(want.processors), got.Processors)
			must.Eq(t, want.warnings, *got.Warnings)
			must.Eq(t, want.errors, *got.Errors)
			if want.time == 0 && !want.timeKnown {
				must.Nil(t, got.Time)
			} else {
				must.Eq(t, want.time, *got.Time)
				must.Eq(t, want.cycle, *got.Cycle)
			}
			if want.firstCode == 0 {
				must.Nil(t, got.FirstError)
			} else {
				must.Eq(t, want.firstCode, got.FirstError.Code)
				must.Eq(t, want.firstClass, got.FirstError.Class)
			}
		})
	}
}

func TestReport_runningGetsAnETA(t *testing.T) {
	r, err := inspect(t, "../output/testdata/cut.stdout", true)
	must.NoError(t, err)
	must.Eq(t, output.Running, r.Outcome)
	must.NotNil(t, r.ETASeconds)
	// 0.018 in 100 s at an even pace: 0.002 more takes some 11 s.
	must.Between(t, 5, *r.ETASeconds, 20)

	r, err = inspect(t, "../output/testdata/cut.stdout", false)
	must.NoError(t, err)
	must.Nil(t, r.ETASeconds)
}

func TestReport_runningAndEndedIsNoLongerRunning(t *testing.T) {
	r, err := inspect(t, "../output/testdata/completed-smp.stdout", true)
	must.NoError(t, err)
	must.Eq(t, output.Completed, r.Outcome)
}

func TestReport_folderCombinesItsOutputs(t *testing.T) {
	dir := t.TempDir()
	copyFile(t, "../output/testdata/completed-smp.stdout", filepath.Join(dir, "run-17.log"))
	copyFile(t, "../output/testdata/completed.d3hsp", filepath.Join(dir, "d3hsp"))
	must.NoError(t, os.WriteFile(filepath.Join(dir, "unrelated.log"), []byte("hello\n"), 0o644))

	r, err := inspect(t, dir, false)
	must.NoError(t, err)
	must.Eq(t, output.Completed, r.Outcome)
	must.Nil(t, r.RestartFile, must.Sprint("d3dump01 was said but is not there"))

	must.NoError(t, os.WriteFile(filepath.Join(dir, "d3dump01"), []byte("dump"), 0o644))
	r, err = inspect(t, dir, false)
	must.NoError(t, err)
	must.Eq(t, "d3dump01", *r.RestartFile)
}

func TestReport_folderWithoutOutputsSaysSo(t *testing.T) {
	_, err := inspect(t, t.TempDir(), false)
	must.ErrorContains(t, err, "holds no LS-DYNA output")
	_, err = inspect(t, "../output/testdata/nowhere", false)
	must.ErrorIs(t, err, os.ErrNotExist)
}

// The driver sees how the process ended, of which a crash prints nothing.
func TestReport_takesWhatTheDriverNotedOfTheEnd(t *testing.T) {
	noted, before := time.Now(), time.Now().Add(-time.Hour)
	past := func(kind output.Kind, reason string) output.PastRun {
		return output.PastRun{Run: "a/t/1", Began: "starting from the deck", Ended: &noted, Outcome: kind, Reason: reason}
	}
	crash, byWatch := past(output.Failed, "crashed with signal 11 (SIGSEGV)\x1b"), past(output.Stopped, "stopped by watch: energy ratio 1.2 > 1.1")
	old, lives := crash, output.PastRun{Run: "a/t/1", Began: "starting from the deck"}
	old.Ended = &before
	for name, c := range map[string]struct {
		stdout string
		noted  output.PastRun
		want   output.Kind
		reason string
	}{
		"a crash without words":             {"cut.stdout", crash, output.Failed, "crashed with signal 11 (SIGSEGV)?"},
		"a run before the one that printed": {"cut.stdout", old, output.Unknown, "printed no end"},
		"a run whose end nobody saw":        {"cut.stdout", lives, output.Unknown, "printed no end"},
		"no completion without its words":   {"cut.stdout", past(output.Completed, "normal termination"), output.Unknown, "printed no end"},
		"no outcome of this program":        {"cut.stdout", past("fine", "fine"), output.Unknown, "printed no end"},
		"a stop by watch":                   {"stopped-kill-file.stdout", byWatch, output.Stopped, "stopped by watch: energy ratio 1.2 > 1.1"},
		"another stop":                      {"stopped-kill-file.stdout", past(output.Stopped, "stopped"), output.Stopped, "a sense switch in d3kil"},
		"an end that LS-DYNA printed":       {"completed-smp.stdout", crash, output.Completed, "normal termination"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			copyFile(t, "../output/testdata/"+c.stdout, filepath.Join(dir, "stdout"))
			must.NoError(t, openFolder(t, dir).NoteRun(c.noted))
			r, err := inspect(t, dir, false)
			must.NoError(t, err)
			must.Eq(t, c.want, r.Outcome)
			must.StrContains(t, r.Reason, c.reason)
		})
	}
}

func TestReport_aFileThatIsNoOutputSaysSo(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"main.k": "*KEYWORD\n*END\n", "d3plot": "\x00\x01\x02", "d3dump01": "dump", "messag.gz": "\x1f\x8b", "notes": "something else\n"} {
		r, err := inspect(t, write(t, dir, name, text), false)
		must.NoError(t, err, must.Sprint(name))
		must.Eq(t, output.Unknown, r.Outcome)
		must.StrContains(t, r.Reason, "nothing that LS-DYNA prints: name the run folder")
		must.StrNotContains(t, r.Reason, "last words")
	}
	for _, name := range []string{"messag", "run.log"} { // a run that has just begun
		_, err := inspect(t, write(t, dir, name, ""), false)
		must.NoError(t, err, must.Sprint(name))
	}
	_, err := inspect(t, write(t, dir, "notes", " *** Error 10246 (KEY+246)\n     no such node\n\n"), false)
	must.NoError(t, err, must.Sprint("what it holds counts"))
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(to, data, 0o644))
}

// orNil is nil for a zero value, which stands for "not known" in a row.
func orNil[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
