// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"testing"

	"github.com/shoenig/test/must"
)

func TestStderrNames(t *testing.T) {
	for stdout, stderr := range map[string]string{
		"stdout": "stderr", "run.out": "run.err", "slurm-42.out": "slurm-42.err", "crash.o77": "crash.e77", "crash.o77.3": "crash.e77.3", "crash.po77": "crash.pe77",
		"lsrun.out.txt": "lsrun.err.txt", "job.stdout.log": "job.stderr.log", "run.log": "run.err", "run.log ": "run.err", "jobout": "joberr", "output.txt": "error.txt",
		"JOB.OUT": "JOB.ERR", "result.txt": "result.err", "about.out": "about.err",
	} {
		must.SliceContains(t, StderrNames(stdout), stderr, must.Sprint(stdout))
		must.SliceNotContains(t, StderrNames(stdout), stdout)
	}
	must.Eq(t, "slurm-42.err", StderrNames("slurm-42.out")[0])
}

func TestMayBeStdout(t *testing.T) {
	for name, want := range map[string][2]bool{
		"crash.o77": {true, true}, "result.txt": {true, true}, "lsrun.out.txt": {true, true}, "nohup.out": {true, true}, "log": {true, true}, "whatever": {true, false},
		"messag": {}, "mes0003": {}, "d3plot01": {}, "d3dump01.0002": {}, "main.k": {}, "README.md": {}, "glstat": {}, "binout0000": {}, ".hidden.log": {}, "go.sh": {}, "job.d3hsp": {},
	} {
		maybe, usual := MayBeStdout(name)
		must.Eq(t, want, [2]bool{maybe, usual}, must.Sprint(name))
	}
}
