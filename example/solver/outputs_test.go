// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var progress = regexp.MustCompile(`^ *[0-9]+ t [-0-9.+E]{10} dt `)

func TestCompletedRunSpeaksTheFormats(t *testing.T) {
	dir := folder(t, "solid_bar_impact")
	j := solve(t, 0, dir, "i=main.k", "ncpu=2", "memory=20m")
	stdout, messag, d3hsp := j.stdout(), j.file("messag"), j.file("d3hsp")

	for name, text := range map[string]string{"stdout": stdout, "messag": messag, "d3hsp": d3hsp} {
		t.Run(name, func(t *testing.T) {
			if n := strings.Count(text, "N o r m a l    t e r m i n a t i o n"); n != 2 {
				t.Errorf("%d banners, not 2", n)
			}
			demand(t, text, " *** termination time reached ***\n", "|  Version : smp d R14   ", "write d3dump01 file",
				" Problem time       =    6.0", " Problem cycle      =      11", " Number of CPU's    2\n", " using  2 SMP threads\n")
			lines := 0
			for line := range strings.SplitSeq(text, "\n") {
				if progress.MatchString(line) {
					lines++
					if len(line) != 80 {
						t.Errorf("%d columns: %q", len(line), line)
					}
				}
			}
			if lines < 10 {
				t.Errorf("only %d progress lines", lines)
			}
		})
	}
	demand(t, stdout, "\n termination time                  = 6.000E-02\n", "\n Executing with LSTC network license\n",
		" License option : check network license only\n", " estimated total clock time  ", " Memory size from command line:    20000000\n",
		"   sw1.    a restart file is written and ls-dyna terminates.")
	demand(t, d3hsp, "\n    termination time...............................    0.6000E-01\n")
	refuse(t, messag, "termination time   ", "termination time...", "Executing with", "License option")
	demand(t, j.file("bg_switch"), fmt.Sprintf("kill -INT %d\n", j.cmd.Process.Pid))
	demand(t, j.file("kill_by_pid"), fmt.Sprintf("kill -9 %d\n", j.cmd.Process.Pid))
	demand(t, j.file("status.out"), "estimated clock time to complete")
}

func TestAffinityIsTheFirstWord(t *testing.T) {
	dir := folder(t, "solid_bar_impact")
	j := solve(t, 0, dir, "i=main.k", "ncpu=2", "ncycle=5")
	line := regexp.MustCompile(`^STANDIN-AFFINITY rank=0 pid=([0-9]+) tid=([0-9]+) thread=(main|worker[01]) cpus=([0-9,-]+)$`)
	out := strings.Split(j.stdout(), "\n")
	file := strings.Split(j.file("standin-affinity.0000"), "\n")
	for i := range 3 {
		if m := line.FindStringSubmatch(out[i]); m == nil || m[1] != strconv.Itoa(j.cmd.Process.Pid) || out[i] != file[i] {
			t.Errorf("line %d: %q, in the file %q", i+1, out[i], file[i])
		}
	}
	if !strings.Contains(out[0], "thread=main") {
		t.Errorf("first line: %q", out[0])
	}
}

func TestEnergyIsKept(t *testing.T) {
	slow(t)
	for _, deck := range []string{"solid_bar_impact/main.k", "shell_box_crush/small.k"} {
		t.Run(deck, func(t *testing.T) {
			dir, input, _ := strings.Cut(deck, "/")
			j := solve(t, 0, folder(t, dir), "i="+input)
			ratios := regexp.MustCompile(`energy / initial energy\.\. +([0-9.E+-]+)`).FindAllStringSubmatch(j.file("glstat"), -1)
			if len(ratios) < 5 {
				t.Fatalf("only %d records in glstat", len(ratios))
			}
			for _, r := range ratios {
				if v, err := strconv.ParseFloat(r[1], 64); err != nil || v < 0.9 || v > 1.1 {
					t.Errorf("energy ratio %s", r[1])
				}
			}
			var moved float64
			kinetic := regexp.MustCompile(`kinetic energy\.{10,} +([0-9.E+-]+)`).FindAllStringSubmatch(j.file("glstat"), -1)
			first, _ := strconv.ParseFloat(kinetic[0][1], 64)
			last, _ := strconv.ParseFloat(kinetic[len(kinetic)-1][1], 64)
			if moved = first - last; moved < first/10 {
				t.Errorf("kinetic energy %g hardly changed from %g: nothing hit the wall", last, first)
			}
		})
	}
}

func TestErrorsOfTheDeck(t *testing.T) {
	for name, c := range map[string]struct {
		deck string
		want []string
	}{
		"a missing include": {"error_missing_include", []string{" \n *** Error 10087 (KEY+87)\n     in *INCLUDE file name:\n     File mesh_that_is_not_here.k does not exist\n" +
			"     Keyword read will continue but numerous errors may result\n", " *** Error 10133 (KEY+133)\n     input data failed with: ", " Problem cycle      =         0\n"}},
		"a negative volume": {"error_negative_volume", []string{" *** Error 40509 (SOL+509)\n     negative volume in brick element # "}},
	} {
		t.Run(name, func(t *testing.T) {
			j := solve(t, exitError, folder(t, c.deck), "i=main.k")
			for _, text := range []string{j.stdout(), j.file("messag"), j.file("d3hsp")} {
				demand(t, text, c.want...)
				if n := strings.Count(text, "E r r o r   t e r m i n a t i o n"); n != 2 {
					t.Errorf("%d banners, not 2", n)
				}
			}
		})
	}
}

func TestTooLittleMemoryNamesTheWordsNeeded(t *testing.T) {
	j := solve(t, exitError, folder(t, "solid_bar_impact"), "i=main.k", "memory=10k")
	need := regexp.MustCompile(`(?s)insufficient memory: ([0-9]+) words are needed, 10000 are given.*rerun with memory=([0-9]+) or more`).FindStringSubmatch(j.stdout())
	if need == nil {
		t.Fatal(j.stdout())
	}
	solve(t, 0, folder(t, "solid_bar_impact"), "i=main.k", "ncycle=2", "memory="+need[1])
}

func TestCommandLineErrorIsEarly(t *testing.T) {
	for _, words := range [][]string{{"i=main.k", "with", "blank.k"}, {"i=main.k", "colour=red"}, {"ncpu=2"}, {"i=main.k", "ncpu=none"}} {
		j := solve(t, exitError, folder(t, "solid_bar_impact"), words...)
		_, text, _ := strings.Cut(j.stdout(), "\n") // after the affinity line
		if !strings.HasPrefix(text, "*** Error 70004 (OTH+4)\r\n") || !strings.HasSuffix(text, "\r\nE r r o r   t e r m i n a t i o n") {
			t.Errorf("%v: %q", words, text)
		}
	}
}

func TestMissingInputFile(t *testing.T) {
	j := solve(t, exitError, t.TempDir(), "i=nowhere.k")
	demand(t, j.stdout(), "nowhere.k: no such file", "E r r o r   t e r m i n a t i o n")
}

func TestJobIDPrefixesTheOutputs(t *testing.T) {
	j := solve(t, 0, folder(t, "solid_bar_impact"), "I=main.k", "JOBID=run7", "NCYCLE=3", "d=nodump")
	demand(t, j.file("run7.messag"), "N o r m a l    t e r m i n a t i o n")
	for _, name := range []string{"run7.d3hsp", "run7.d3plot", "run7.d3plot01", "run7.glstat"} {
		j.file(name)
	}
	refuse(t, j.stdout(), "write d3dump")
}
