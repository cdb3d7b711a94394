// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseSwitch(t *testing.T) {
	for text, want := range map[string][2]string{
		"sw1.\n":         {"sw1", ""},
		" SW3 please\n":  {"sw3", ""},
		"stop":           {"stop", ""},
		"endtime=2.5e-3": {"endtime=2.5e-3", ""},
		"endtime=soon":   {"", "endtime=soon"},
		"endtime=-1":     {"", "endtime=-1"},
		"sw9.":           {"", "sw9"},
		"":               {"", ""},
		"\x00\xff":       {"", "\x00\ufffd"},
	} {
		sw, junk := parseSwitch(text)
		if sw != want[0] || (junk == "") != (want[1] == "") {
			t.Errorf("%q: %q, %q", text, sw, junk)
		}
	}
}

// A switch that is there at the start is read at the first look.
func TestSwitches(t *testing.T) {
	for name, c := range map[string]struct {
		sw    string
		code  int
		wants []string
		files []string
		not   []string
	}{
		"sw1 dumps and terminates":      {"sw1.", 0, []string{"kill file detected - terminating", "write d3dump01 file", "N o r m a l    t"}, []string{"d3dump01"}, []string{"termination time reached"}},
		"sw2 tells time and cycle":      {"sw2.", 0, []string{"sense switch 2: time = ", "cycle =        1", "termination cycle reached"}, nil, []string{"d3dump02"}},
		"sw3 dumps and goes on":         {"sw3.", 0, []string{"       1 t 0.0000E+00 dt", "write d3dump01 file", "write d3dump02 file"}, []string{"d3dump01", "d3dump02"}, nil},
		"sw4 plots and goes on":         {"SW4", 0, []string{"termination cycle reached"}, nil, nil},
		"swa flushes":                   {"swa.", 0, []string{"flush i/o buffers"}, nil, nil},
		"swb writes a dynain":           {"swb.", 0, []string{"write dynain file"}, []string{"dynain"}, []string{"d3dump02"}},
		"swc dumps, writes and goes on": {"swc.", 0, []string{"write dynain file", "write d3dump02 file"}, []string{"dynain"}, nil},
		"swd dumps, writes and ends":    {"swd.", 0, []string{"kill file detected", "write dynain file"}, []string{"dynain", "d3dump01"}, []string{"termination cycle"}},
		"stop ends without a dump": {
			"stop", exitError,
			[]string{" *** termination due to sense switch: stop ***", "E r r o r   t"},
			nil,
			[]string{"write d3dump", "*** Error"},
		},
		"quit ends without a dump": {"quit", exitError, []string{" *** termination due to sense switch: quit ***"}, nil, []string{"write d3dump"}},
		"endtime moves the end":    {"endtime=1.0e-3", 0, []string{" termination time                  = 1.000E-03", "termination time reached"}, nil, nil},
		"nonsense is told":         {"sw99.", 0, []string{"sense switch not recognized", "termination cycle reached"}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, "solid_bar_impact")
			write(t, filepath.Join(dir, killFile), c.sw)
			j := solve(t, c.code, dir, "i=main.k", "ncycle=30")
			demand(t, j.stdout(), c.wants...)
			refuse(t, j.stdout(), c.not...)
			for _, f := range c.files {
				j.file(f)
			}
			if _, err := os.Stat(filepath.Join(dir, killFile)); err == nil {
				t.Error("d3kil is still there")
			}
		})
	}
}

func TestKeptSwitchIsObeyedAgainAndAgain(t *testing.T) {
	dir := folder(t, "solid_bar_impact")
	write(t, filepath.Join(dir, killFile), "sw3.")
	j := solve(t, 0, dir, "i=main.k", "ncycle=30", "STANDIN_POLL=10", "STANDIN_FAULT=keep_d3kil")
	demand(t, j.stdout(), "write d3dump01 file", "write d3dump02 file", "write d3dump03 file", "termination cycle reached")
	j.file(killFile)
}

func TestEndTimeSwitchStopsEarlier(t *testing.T) {
	dir := folder(t, "solid_bar_impact")
	write(t, filepath.Join(dir, killFile), "endtime=1.0e-3")
	j := solve(t, 0, dir, "i=main.k")
	demand(t, j.stdout(), " Problem time       =    1.0", "E-03\n")
}

func TestControlCAsksForASwitch(t *testing.T) {
	j := start(t, folder(t, "solid_bar_impact"), "i=main.k", "STANDIN_PACE=1ms", "STANDIN_POLL=1", "ncycle=200")
	j.says("flush i/o buffers")
	if err := j.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	j.says("enter sense switch:")
	if code := j.wait(); code != 0 || !strings.Contains(j.stdout(), "termination cycle reached") {
		t.Errorf("exit code %d", code)
	}
}

func FuzzParseSwitch(f *testing.F) {
	f.Add("sw1.")
	f.Add("endtime=1e9")
	f.Fuzz(func(t *testing.T, text string) {
		if sw, junk := parseSwitch(text); sw != "" && junk != "" {
			t.Errorf("both a switch %q and none %q", sw, junk)
		}
	})
}
