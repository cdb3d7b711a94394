// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// files are what a folder holds: by name an output of the fixtures, or, with a line end,
// the text itself.
type files map[string]string

// fill writes files, of which each is an hour older than the one before in the order of
// ages; those that are not there have one time.
func fill(t *testing.T, all files, ages ...string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range all {
		if !strings.Contains(text, "\n") {
			data, err := os.ReadFile(filepath.Join("../output/testdata", text))
			must.NoError(t, err)
			text = string(data)
		}
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	now := time.Now()
	for name := range all {
		must.NoError(t, os.Chtimes(filepath.Join(dir, name), now, now))
	}
	for i, name := range ages {
		at := now.Add(-time.Duration(i) * time.Hour)
		must.NoError(t, os.Chtimes(filepath.Join(dir, name), at, at))
	}
	return dir
}

// dated is a fixture that began at another time.
func dated(t *testing.T, file, clock string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../output/testdata", file))
	must.NoError(t, err)
	head, rest, found := strings.Cut(string(data), "Time: ")
	must.True(t, found)
	return head + "Time: " + clock + rest[len(clock):]
}

func TestReport_findsStdoutWhateverItsName(t *testing.T) {
	for _, name := range []string{"crash.o8811", "result.txt", "jobout", "lsrun.out.txt", "slurm-8811.out", "OUTPUT", "whatever", "run.log.1"} {
		for file, want := range map[string]output.Kind{
			"error.stdout": output.Failed, "completed-crlf.stdout": output.Completed, "no-licence.stdout": output.LicenceError, "error-command-line.stdout": output.Failed,
			" *** Error 10151 (KEY+151)\n     cannot go on\n\n Error termination\n":        output.Failed,
			" License option : check network license only\n LSTC License file not found\n": output.LicenceError,
		} {
			r, err := inspect(t, fill(t, files{name: file, "main.k": "*KEYWORD\n", "LICENSE": "no license to speak of\n", "glstat": "1\n"}), false)
			must.NoError(t, err, must.Sprint(name, file))
			must.Eq(t, want, r.Outcome, must.Sprint(name, file, r.Reason))
		}
	}
	_, err := inspect(t, fill(t, files{"notes.txt": "see the *** Error there, no license\n", "go.sh": " License option : x\n"}), false)
	must.ErrorContains(t, err, "holds no LS-DYNA output")
}

func TestReport_pairsStderrWithStdout(t *testing.T) {
	const crash = "[fe12:9] *** Process received signal ***\n[fe12:9] Signal: Bus error (7)\n"
	for name, c := range map[string]struct {
		all  files
		ages []string
		want output.Kind
		says string
	}{
		"Slurm":                         {files{"slurm-9.out": "cut.stdout", "slurm-9.err": crash}, nil, output.Failed, "signal 7"},
		"Slurm, an older one is killed": {files{"slurm-9.out": "cut.stdout", "slurm-9.err": crash, "slurm-8.err": "Killed\n"}, nil, output.Failed, "signal 7"},
		"PBS":                           {files{"crash.o9": "cut.stdout", "crash.e9": crash}, nil, output.Failed, "signal 7"},
		"a shell":                       {files{"run.log": "cut.stdout", "run.err": crash}, nil, output.Failed, "signal 7"},
		"a name of its own, as new":     {files{"run.log": "cut.stdout", "slurm-9.out": "slurmstepd: error: *** JOB 9 ON x CANCELLED AT 2024-01-02T03:04:05 DUE TO TIME LIMIT ***\n"}, nil, output.Killed, "TIME LIMIT"},
		"a name of its own, and older":  {files{"run.log": "cut.stdout", "slurm-9.out": "Killed\n"}, []string{"run.log", "slurm-9.out"}, output.Unknown, "printed no end"},
		"messages of the first rank":    {files{"messag": "cut-exponent.messag", "run.err": crash}, nil, output.Unknown, ""},
		"a run with an end":             {files{"slurm-9.out": "completed-smp.stdout", "slurm-9.err": crash}, nil, output.Completed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fill(t, c.all, c.ages...)
			r, err := inspect(t, dir, false)
			must.NoError(t, err)
			must.Eq(t, c.want, r.Outcome, must.Sprint(r.Reason))
			must.StrContains(t, r.Reason, c.says)
			if _, slurm := c.all["slurm-9.err"]; slurm {
				r, err := inspect(t, filepath.Join(dir, "slurm-9.out"), false)
				must.NoError(t, err)
				must.Eq(t, c.want, r.Outcome, must.Sprint("the file alone: ", r.Reason))
			}
		})
	}
}

// Copies do not keep the time at which a file was written.
func TestReport_theLastRunIsToldByItsDate(t *testing.T) {
	const old, last = "stopped-kill-file.stdout", "completed-smp.stdout"
	for name, c := range map[string]struct {
		all  files
		ages []string
	}{
		"SMP":                       {files{"messag": dated(t, old, "09:00:00"), "messag01": dated(t, last, "11:00:00")}, []string{"messag", "messag01"}},
		"the numbers are of no use": {files{"messag": dated(t, last, "11:00:00"), "messag01": dated(t, old, "09:00:00")}, []string{"messag01", "messag"}},
		"MPP, three runs":           {files{"mes0000": dated(t, old, "08:00:00"), "mes010000": dated(t, old, "09:00:00"), "mes020000": dated(t, last, "11:00:00")}, []string{"mes0000", "mes010000", "mes020000"}},
		"MPP, one date":             {files{"mes0000": dated(t, old, "09:00:00"), "mes010000": dated(t, last, "09:00:00")}, []string{"mes0000", "mes010000"}},
		"stdout":                    {files{"run1.log": dated(t, last, "11:00:00"), "run2.log": dated(t, old, "09:00:00")}, []string{"run2.log", "run1.log"}},
		"d3hsp":                     {files{"d3hsp": dated(t, old, "09:00:00"), "d3hsp01": dated(t, last, "11:00:00")}, []string{"d3hsp", "d3hsp01"}},
		"all written at one time":   {files{"messag": dated(t, old, "09:00:00"), "messag01": dated(t, last, "11:00:00")}, nil},
		"an old stdout beside it":   {files{"run.log": dated(t, old, "09:00:00"), "messag": dated(t, last, "11:00:00")}, []string{"run.log", "messag"}},
		"other jobs' runs in it":    {files{"a.messag": dated(t, old, "09:00:00"), "b.messag": dated(t, last, "11:00:00")}, []string{"a.messag", "b.messag"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := inspect(t, fill(t, c.all, c.ages...), false)
			must.NoError(t, err)
			must.Eq(t, output.Completed, r.Outcome, must.Sprint(r.Reason))
		})
	}
}

func TestReport_readsWhatEveryRankSays(t *testing.T) {
	const boom = "\n *** Error 40511 (SOL+511)\n     node 5 has a bad velocity\n"
	all := files{"mes0000": "cut-exponent.messag"}
	for rank := 1; rank < 300; rank++ {
		all[fmt.Sprintf("mes%04d", rank)] = "cut-exponent.messag"
	}
	for name, c := range map[string]struct {
		rank, text string
		code       int
		says       string
	}{
		"an error at its end":       {"mes0255", boom, 40511, "40511"},
		"an error far from it":      {"mes0003", boom + strings.Repeat(" a line\n", tailBytes), 40511, "40511"},
		"numbers out of range":      {"mes0255", "\n *** termination due to out-of-range forces ***\n", 0, "out-of-range forces"},
		"an error without a number": {"mes0255", "\n *** Error NaN detected\n", 0, "NaN detected"},
	} {
		t.Run(name, func(t *testing.T) {
			all[c.rank] = c.text
			defer func() { all[c.rank] = "cut-exponent.messag" }()
			r, err := inspect(t, fill(t, all), false)
			must.NoError(t, err)
			must.Eq(t, output.Failed, r.Outcome, must.Sprint(r.Reason))
			must.StrContains(t, r.Reason, c.says)
			if c.code != 0 {
				must.Eq(t, c.code, r.FirstError.Code)
			}
		})
	}
	all["mes010255"] = boom // of another run in the folder
	r, err := inspect(t, fill(t, all), false)
	must.NoError(t, err)
	must.Eq(t, output.Unknown, r.Outcome, must.Sprint(r.Reason))
}

func TestReport_dumpsAreWholeWithAllRanks(t *testing.T) {
	const stopped = "stopped-kill-file.stdout"
	data, err := os.ReadFile(filepath.Join("../output/testdata", stopped))
	must.NoError(t, err)
	mpp := strings.Replace(string(data), "Version : smp", "Version : mpp", 1) + " Parallel execution with      3 MPP proc\n"
	for name, c := range map[string]struct {
		text  string
		dumps []string
		want  string
	}{
		"of one process":         {stopped, []string{"d3dump01"}, "d3dump01"},
		"none":                   {stopped, nil, ""},
		"of all ranks":           {mpp, []string{"d3dump01.0000", "d3dump01.0001", "d3dump01.0002", "d3full01"}, "d3dump01"},
		"the last rank's is not": {mpp, []string{"d3dump01.0000", "d3dump01.0001", "d3full01"}, ""},
		"one in between is not":  {stopped, []string{"d3dump01.0000", "d3dump01.0002"}, ""},
		"with a jobid":           {stopped, []string{"crash7.d3dump01"}, "crash7.d3dump01"},
		"a jobid and ranks":      {mpp, []string{"crash7.d3dump01.0000", "crash7.d3dump01.0001", "crash7.d3dump01.0002"}, "crash7.d3dump01"},
		"a jobid, one is not":    {mpp, []string{"crash7.d3dump01.0001", "crash7.d3dump01.0002"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			all := files{"run.log": c.text}
			for _, dump := range c.dumps {
				all[dump] = "dump\n"
			}
			r, err := inspect(t, fill(t, all), false)
			must.NoError(t, err)
			must.Eq(t, output.Stopped, r.Outcome, must.Sprint(r.Reason))
			must.Eq(t, orNil(c.want), r.RestartFile)
		})
	}
}

// The message files alone tell that a process made several runs.
func TestReport_runsOfOneProcessByTheirJobids(t *testing.T) {
	first := strings.Replace(dated(t, "error.stdout", "09:00:00"), "Command line options: i=main.k", "Command line options: i=main.k case", 1)
	last := dated(t, "completed-smp.stdout", "09:30:00")
	r, err := inspect(t, fill(t, files{"heavy.messag": first, "light.messag": last}), false)
	must.NoError(t, err)
	must.Eq(t, output.Failed, r.Outcome)
	must.StrContains(t, r.Reason, "run 1 of the process (heavy): error termination: *** Error 40500")
	must.StrContains(t, r.Reason, "run 2, the last: normal termination")
}
