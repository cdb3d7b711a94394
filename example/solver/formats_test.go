// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestProgressLineIs80Columns(t *testing.T) {
	const stamp = "12/21/25 20:15:16"
	for want, got := range map[string]string{
		"       1 t 0.0000E+00 dt 1.38E-07 flush i/o buffers            12/21/25 20:15:16": progressLine(1, 0, 1.38e-7, "flush i/o buffers", stamp),
		"54773890 t 2.0000E+01 dt 3.65E-07 write d3dump01 file          12/21/25 20:15:16": progressLine(54773890, 20, 3.65e-7, "write d3dump01 file", stamp),
		"******** t 1.5000-345 dt 0.00E+00 x                            12/21/25 20:15:16": strings.Replace(progressLine(123456789, 0, 0, "x", stamp), "0.0000E+00", "1.5000-345", 1),
	} {
		if got != want || len(got) != 80 {
			t.Errorf("%d columns: %q", len(got), got)
		}
	}
}

func TestFortranNumbers(t *testing.T) {
	for want, got := range map[string]string{
		"1.2346E+00": fortran(1.23456, 4), "1.2000-120": fortran(1.2e-120, 4), "-1.50E+10": fortran(-1.5e10, 2), "0.0000E+00": fortran(0, 4),
		"0.3500E-01": fortranZero(0.035), "0.2400E+03": fortranZero(240), "0.0000E+00 ": fortranZero(0) + " ", "-0.1000E+01": fortranZero(-1),
	} {
		if got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string]int{"100": 100, "20m": 20_000_000, "3K": 3000, "2g": 2_000_000_000, "": 0, "m": 0, "-5m": 0, "1.5m": 0, "99999999999g": 0} {
		if got, err := parseWords(text); got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func TestNameOfTheExecutable(t *testing.T) {
	for name, c := range map[string]struct {
		ranks   int
		version string
	}{
		"/opt/ls-dyna_mpp_s_R13_1_1_x64_centos610_ifort190_avx2_openmpi4.0.5": {1, "mpp s R14"},
		"ls-dyna_smp_d_R14": {4, "smp d R14"}, "standin": {1, "smp d R14"}, "solver": {2, "mpp d R14"}, "ls-dyna_hyb_d": {2, "hyb d R14"},
	} {
		if got := identify(name, c.ranks).version(); got != c.version {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// shape turns what may differ between two runs into dots.
func shape(line string) string {
	line = regexp.MustCompile(`(hour|minute|second|thread|proc)s`).ReplaceAllString(line, "$1.")
	line = regexp.MustCompile(`(nano|pico)second`).ReplaceAllString(line, "xxxxsecond")
	line = regexp.MustCompile(`E[+-]`).ReplaceAllString(line, "E.")
	return regexp.MustCompile(`[0-9 ]`).ReplaceAllString(line, ".")
}

// The lines that a job runner reads must have the columns of real output.
func TestLinesHaveTheShapeOfRealOutput(t *testing.T) {
	samples := filepath.Join("..", "..", "..", "shared", "samples")
	if _, err := os.Stat(samples); err != nil {
		t.Skip("no sample outputs beside the repository")
	}
	failing := solve(t, exitError, folder(t, "error_missing_include"), "i=main.k", "ncpu=8").stdout()
	good := solve(t, 0, folder(t, "solid_bar_impact"), "i=main.k", "ncpu=2", "memory=20m")
	dir := folder(t, "solid_bar_impact")
	write(t, filepath.Join(dir, killFile), "stop")
	halted := solve(t, exitError, dir, "i=main.k").stdout()
	for name, c := range map[string]struct {
		ours  string
		lines []string // how each line begins
	}{
		"r14-smp-missing-include.stdout": {failing, []string{
			" License option : check |…", " Executing with LSTC network license", "     |  Version : smp d R14 |…", "     |______", " Input file: main.k |…",
			" Memory size from default", " Beginning of keyword reader", " *** Error 10087", "     in *INCLUDE", "     Keyword read will", " *** Error 10133 (KEY+133)",
			" E r r o r", " T i m i n g", "  T o t a l s", " Problem time ", " Problem cycle ", " Total CPU time", " Number of CPU's", " Start time", " End time",
			" Elapsed time", "             (",
		}},
		"r12-smp-completed.d3hsp": {good.file("d3hsp"), []string{
			"    termination time...", "       1 t 0.0000E+00 dt |…", " *** termination time reached", " N o r m a l",
			" Memory size from command line", " Problem time ", " Clock time per zone cycle", " Number of CPU's", " Elapsed time", "             (", " element       number",
		}},
		"r14-smp-completed-implicit.stdout": {good.stdout(), []string{" termination time   ", " estimated total cpu time", " estimated clock time to complete", " input of data is", " initialization completed"}},
		"r14-smp-sense-switch-stop.messag":  {halted, []string{" *** termination due to sense switch", " E r r o r", "       1 t 0.0000E+00 dt |…"}},
	} {
		text, err := os.ReadFile(filepath.Join(samples, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, begin := range c.lines {
			// Beyond the bar a line has its own content.
			begin, _, open := strings.Cut(begin, "|…")
			theirs, ours := first(string(text), begin), first(c.ours, begin)
			if open {
				theirs, ours = theirs[:min(len(theirs), len(begin))], ours[:min(len(ours), len(begin))]
			}
			theirs, ours = strings.TrimRight(theirs, " "), strings.TrimRight(ours, " ")
			if shape(theirs) != shape(ours) {
				t.Errorf("%s:\nreal %q\nours %q", name, theirs, ours)
			}
		}
	}
}

func first(text, begin string) string {
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, begin) {
			return line
		}
	}
	return "no line that begins with " + begin
}

func TestD3plotReadsBack(t *testing.T) {
	for _, c := range []struct {
		precision string
		word      int
	}{{"d", 8}, {"s", 4}} {
		dir := folder(t, "shell_box_crush")
		name := filepath.Join(dir, "ls-dyna_smp_"+c.precision+"_R14")
		if err := os.Symlink(executable(t), name); err != nil {
			t.Fatal(err)
		}
		if j := launch(t, dir, []string{name}, "i=small.k", "ncycle=100"); j.wait() != 0 {
			t.Fatal(j.stdout())
		}
		root, states := read(t, filepath.Join(dir, "d3plot")), read(t, filepath.Join(dir, "d3plot01"))
		integer := func(text string, i int) int {
			if c.word == 4 {
				return int(int32(binary.LittleEndian.Uint32([]byte(text[4*i:]))))
			}
			return int(int64(binary.LittleEndian.Uint64([]byte(text[8*i:]))))
		}
		float := func(text string, i int) float64 {
			if c.word == 4 {
				return float64(math.Float32frombits(binary.LittleEndian.Uint32([]byte(text[4*i:]))))
			}
			return math.Float64frombits(binary.LittleEndian.Uint64([]byte(text[8*i:])))
		}
		// Addresses of the control section, counted from 0.
		ndim, numnp, icode, nglbv, nel8, nel4, nv2d, narbs := integer(root, 15), integer(root, 16), integer(root, 17),
			integer(root, 18), integer(root, 23), integer(root, 31), integer(root, 33), integer(root, 39)
		if ndim != 4 || numnp != 312 || icode != 6 || nel8 != 0 || nel4 != 288 {
			t.Errorf("NDIM %d NUMNP %d ICODE %d NEL8 %d NEL4 %d", ndim, numnp, icode, nel8, nel4)
		}
		if !strings.HasPrefix(root, "Square tube against a rigid wall") || len(root)%(512*c.word) != 0 {
			t.Error("title or length of the root file")
		}
		words := 64 + 3*numnp + 5*nel4 + narbs
		if v := float(root, words); v != endOfPlot {
			t.Errorf("no end mark after the geometry: %g", v)
		}
		state := 1 + nglbv + 9*numnp + nv2d*nel4
		count := (len(states)/c.word - 1) / state
		if count*state+1 != len(states)/c.word || count < 2 || float(states, count*state) != endOfPlot {
			t.Errorf("%d words do not make states of %d and an end mark", len(states)/c.word, state)
		}
		if float(states, 0) != 0 || !(float(states, (count-1)*state) > 0) {
			t.Error("times of the states do not rise")
		}
	}
}

func TestEstimateBlock(t *testing.T) {
	want := "    \n estimated total cpu time          =        20 sec (       0 hrs  0 mins)\n" +
		" estimated cpu time to complete    =        10 sec (       0 hrs  0 mins)\n" +
		" estimated total clock time        =      8000 sec (       2 hrs 13 mins)\n" +
		" estimated clock time to complete  =      4000 sec (       1 hrs  6 mins)\n"
	if got := estimate(10*time.Second, 4000*time.Second, 0.5); got != want {
		t.Error(got)
	}
}
