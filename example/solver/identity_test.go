// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// same compares what two runs left behind, byte by byte.
func same(t *testing.T, a, b string, names ...string) {
	t.Helper()
	for _, name := range names {
		if read(t, filepath.Join(a, name)) != read(t, filepath.Join(b, name)) {
			t.Errorf("%s differs", name)
		}
	}
}

var results = []string{"standin-results", "d3plot", "d3plot01", "glstat"}

func TestResultsDoNotDependOnThreads(t *testing.T) {
	for _, deck := range []string{"solid_bar_impact/main.k", "shell_box_crush/small.k"} {
		dir, input, _ := strings.Cut(deck, "/")
		one := folder(t, dir)
		solve(t, 0, one, "i="+input, "ncpu=1", cycles(500))
		for _, threads := range []string{"ncpu=2", "ncpu=-3"} {
			many := folder(t, dir)
			solve(t, 0, many, "i="+input, threads, cycles(500))
			same(t, one, many, results...)
		}
	}
}

func TestRestartFromAnyCycleEndsAlike(t *testing.T) {
	for _, deck := range []string{"solid_bar_impact/main.k", "shell_box_crush/small.k"} {
		dir, input, _ := strings.Cut(deck, "/")
		whole := folder(t, dir)
		solve(t, 0, whole, "i="+input, cycles(600))
		for _, cycle := range []string{cycles(1), cycles(137), cycles(599)} {
			t.Run(deck+" "+cycle, func(t *testing.T) {
				broken := folder(t, dir)
				solve(t, 0, broken, "i="+input, cycle)
				solve(t, 0, broken, "r=d3dump01", cycles(600))
				same(t, whole, broken, results...)
				demand(t, read(t, filepath.Join(broken, "messag01")), "N o r m a l    t e r m i n a t i o n")
			})
		}
	}
}

func TestRestartAfterSW1EndsAlike(t *testing.T) {
	slow(t)
	whole := folder(t, "solid_bar_impact")
	solve(t, 0, whole, "i=main.k")
	broken := folder(t, "solid_bar_impact")
	j := start(t, broken, "i=main.k", "STANDIN_PACE=2ms")
	j.says("write d3plot file            ")
	j.says("estimated total") // after cycle 100
	write(t, filepath.Join(broken, killFile), "sw1.\n")
	if code := j.wait(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	text := j.stdout()
	demand(t, text, " *** kill file detected - terminating ****\n", "write d3dump01 file", "N o r m a l    t e r m i n a t i o n")
	refuse(t, text, "termination time reached")
	j = solve(t, 0, broken, "r=d3dump01")
	demand(t, j.stdout(), " *** termination time reached ***", " termination time                  = 6.000E-02")
	same(t, whole, broken, results...)
	demand(t, j.file("messag01"), "write d3dump02 file")
}

func TestRunrsfRestarts(t *testing.T) {
	whole, broken := folder(t, "shell_box_crush"), folder(t, "shell_box_crush")
	solve(t, 0, whole, "i=small.k", "ncycle=700")
	j := start(t, broken, "i=small.k", "STANDIN_FAULT=kill=650")
	if code := j.wait(); code != -1 {
		t.Fatalf("exit code %d, not a signal", code)
	}
	solve(t, 0, broken, "r=runrsf", "ncycle=700")
	same(t, whole, broken, results...)
}

func TestRestartFileOfAnotherKindIsRefused(t *testing.T) {
	dir := folder(t, "solid_bar_impact")
	solve(t, 0, dir, "i=main.k", "ncycle=3")
	dump := read(t, filepath.Join(dir, "d3dump01"))
	for name, c := range map[string]struct{ content, want string }{
		"cut short": {dump[:len(dump)/2], "incomplete"},
		"damaged":   {dump[:len(dump)-9] + "x" + dump[len(dump)-8:], "damaged"},
		"no dump":   {"something else", "not a restart file"},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, filepath.Join(dir, "d3dump01"), c.content)
			j := solve(t, exitError, dir, "r=d3dump01")
			demand(t, j.stdout(), c.want, "E r r o r   t e r m i n a t i o n")
		})
	}
}

func FuzzDecodeDump(f *testing.F) {
	f.Add([]byte("STAND-IN SOLVER RESTART FILE 1\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := decodeDump(b); err == nil && d.Model == nil {
			t.Error("a dump without a model")
		}
	})
}
