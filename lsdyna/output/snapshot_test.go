// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/glstat"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

func TestSnapshot_saysHowLongASwitchWillTake(t *testing.T) {
	run := func(first string) Snapshot {
		var r Reader
		_, _ = r.Write([]byte(first))
		for i := range 10 { // 10 s for a problem time of 0.01, steps of 1e-4: 0.1 s each
			fmt.Fprintf(&r, "%8d t %.4E dt 1.00E-04 write d3plot file            03/02/25 10:%02d:%02d\n", i*100, float64(i)*.01, i*10/60, i*10%60)
		}
		return Combine([]Source{{Name: "stdout", Kind: lsdyna.KindStdout, Facts: r.Facts()}})
	}
	must.Eq(t, 10*time.Second, run("").SwitchDelay.Round(time.Second))
	must.Between(t, 0, run(" BEGIN implicit statics  step      2 t= 2.0000E-01\n").SwitchDelay, time.Second)
	must.Eq(t, 10.0, run("").CyclesPerSecond)
	must.Eq(t, 0, Snapshot{}.SwitchDelay)
}

// A long run writes more dumps than are kept of it, and stdout may come late.
func TestCombine_newestOfManyDumps(t *testing.T) {
	lines := func(n int) string {
		text := ""
		for i := range n {
			text += fmt.Sprintf("%8d t %.4E dt 1.00E-04 %-28s 12/21/25 20:%02d:%02d\n", 100*(i+1), float64(i+1), fmt.Sprintf("write d3dump%02d file", i+1), i/60, i%60)
		}
		return text
	}
	for name, c := range map[string]struct{ stdout, messag, newest int }{
		"stdout is late": {maxDumps + 2, maxDumps + 3, maxDumps + 3}, "messag is late": {maxDumps + 3, maxDumps + 2, maxDumps + 3},
		"few of them": {1, 2, 2}, "stdout has none": {0, 1, 1}, "both alike": {3, 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			s := Combine([]Source{{Name: "stdout", Kind: lsdyna.KindStdout, Facts: facts(lines(c.stdout))}, {Name: "messag", Kind: lsdyna.KindMessag, Facts: facts(lines(c.messag))}})
			must.Eq(t, fmt.Sprintf("d3dump%02d", c.newest), s.LastDump().Name)
		})
	}
}

func TestCombine_estimatesWithANewerSourceOfOneLine(t *testing.T) {
	stdout := "       1 t 0.0000E+00 dt 1.00E-04 write d3plot file            03/02/25 10:00:00\n" +
		"     101 t 1.0000E-02 dt 1.00E-04 write d3plot file            03/02/25 10:00:10\n"
	end := 0.1
	run := func(status string) Snapshot {
		sources := []Source{{Name: "stdout", Kind: lsdyna.KindStdout}, {Name: "status.out", Kind: lsdyna.KindStatus}}
		for i, text := range []string{stdout, status} {
			var r Reader
			_, _ = r.Write([]byte(text))
			sources[i].Facts = r.Facts()
		}
		sources[0].EndTime = end
		return Combine(sources)
	}
	for name, tc := range map[string]struct {
		status             string
		time               float64
		elapsed, remaining time.Duration
	}{
		"newer":   {"     501 t 5.0000E-02 dt 1.00E-04 status                       03/02/25 10:00:50\n", .05, 50 * time.Second, 50 * time.Second},
		"older":   {"      51 t 5.0000E-03 dt 1.00E-04 status                       03/02/25 10:00:05\n", .01, 10 * time.Second, 90 * time.Second},
		"undated": {"     501 t 5.0000E-02 dt 1.00E-04 status\n", .01, 10 * time.Second, 90 * time.Second},
		"none":    {"", .01, 10 * time.Second, 90 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := run(tc.status)
			must.Eq(t, tc.time, s.Time)
			must.Eq(t, tc.elapsed, s.Elapsed)
			must.True(t, s.HasETA)
			must.Eq(t, tc.remaining, s.Remaining.Likely.Round(time.Second))
			must.Eq(t, 10.0, s.CyclesPerSecond)
		})
	}
}

func TestSnapshot_summary(t *testing.T) {
	for want, s := range map[string]Snapshot{
		"no cycle was run, 0 errors, 0 warnings":                           {},
		"t = 0.01 of 0.02, 1 cycle, 2m5s, 1 error, 3 warnings":             {Progress: Progress{HasTime: true, Time: .01, EndTime: .02, Cycle: 1}, Estimate: Estimate{Elapsed: 125 * time.Second}, Errors: 1, Warnings: 3},
		"t = 1.235e-05, end time not known, 7 cycles, 0 errors, 1 warning": {Progress: Progress{HasTime: true, Time: 1.23456e-5, Cycle: 7}, Warnings: 1},
		"a glstat alone tells no cycles, errors and warnings":              {Energies: &glstat.Stats{}},
	} {
		must.Eq(t, want, s.Summary())
	}
}
