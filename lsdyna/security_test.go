// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// lstc_qrun runs with the agent's rights: nothing of the agent's environment, nor
// of a task's, decides what it does.
func TestCheckLicence_theProgramHasAnEnvironmentOfItsOwn(t *testing.T) {
	t.Setenv("AGENT_TOKEN", "s3cret")
	t.Setenv("LSTC_FILE", "/evil")
	seen := t.TempDir() + "/seen"
	l := fakeQRun(t, "/usr/bin/env > "+seen+"\nprintf '%s' \"$PWD\" > "+seen+".dir\n")
	_, _ = CheckLicence(t.Context(), l, SMP, 1) // it prints no table
	data, err := os.ReadFile(seen)
	must.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		name, _, _ := strings.Cut(line, "=")
		must.SliceContains(t, []string{"PATH", "LSTC_LICENSE_SERVER", "PWD", "OLDPWD", "SHLVL", "_"}, name)
	}
	must.StrContains(t, string(data), "PATH=/usr/bin:/bin\n")
	dir, err := os.ReadFile(seen + ".dir")
	must.NoError(t, err)
	must.Eq(t, "/", string(dir))
}

// What a job gives as args goes to the solver, never to the launcher, and is no
// second word for what the driver checks.
func TestCommandLine_argsAreTheSolversAlone(t *testing.T) {
	evil := []string{"--allow-run-as-root", "-x", "LD_PRELOAD=/evil.so", "-genv", "--mca", "o=/etc/passwd", "d=nodump"}
	for _, mpi := range []MPI{OpenMPI, IntelMPI, PlatformMPI, MPICH} {
		s := Solver{Name: "s", Path: "/opt/solver", Parallel: MPP, MPI: mpi, MPIRun: "/opt/mpirun"}
		cmd, err := CommandLine(s, RunOptions{Input: "main.k", NCPU: 2, Args: evil})
		must.NoError(t, err)
		must.Eq(t, "/opt/mpirun", cmd.Path)
		solver := slices.Index(cmd.Args, s.Path)
		must.GreaterEq(t, 0, solver)
		for _, arg := range cmd.Args[:solver] {
			must.SliceNotContains(t, evil[:1], arg)
			must.SliceNotContains(t, evil[2:3], arg)
		}
		must.Eq(t, evil, cmd.Args[len(cmd.Args)-len(evil):])
		must.Greater(t, solver, len(cmd.Args)-len(evil))
	}
	s := Solver{Name: "s", Path: "/opt/solver"}
	for _, arg := range []string{
		"i=/etc/passwd", "I=other.k", "-i=x", "--I=x", "r=/tmp/d3dump01", "ncpu=64", "NCPU=64", "memory=9000m", "memory2=1", "jobid=../../x",
		"", "two words", "a\nb", "a\tb", "a\x00b",
	} {
		_, err := CommandLine(s, RunOptions{Input: "main.k", Args: []string{arg}})
		must.Error(t, err, must.Sprintf("args %q", arg))
	}
}

// Names of a job that become paths stay below the run folder.
func TestCommandLine_namesOfTheJobLeadNowhereElse(t *testing.T) {
	s := Solver{Name: "s", Path: "/opt/solver"}
	for _, name := range []string{"/etc/passwd", "../main.k", "sub/../../main.k", "..", "a,b", "a=b", "x y", ""} {
		_, err := CommandLine(s, RunOptions{Input: name})
		must.Error(t, err, must.Sprintf("input %q", name))
		_, err = CommandLine(s, RunOptions{Input: "main.k", Restart: name + "/d3dump01"})
		must.Error(t, err, must.Sprintf("restart %q", name))
	}
	for _, id := range []string{"../x", "a/b", ".hidden", "-x", "a b", "a\n", "é"} {
		_, err := CommandLine(s, RunOptions{Input: "main.k", JobID: id})
		must.Error(t, err, must.Sprintf("jobid %q", id))
	}
}

// FuzzRunRecord: the record of a run lies in the run folder, where the task's
// user writes what he likes.
func FuzzRunRecord(f *testing.F) {
	f.Add([]byte(`{"identity":{"deck":"1f","solver":"s:1","parallel":"smp","precision":"double","processors":1,"ranks":1},"started":"2026-11-22T22:26:13Z"}`))
	f.Add([]byte(`{"identity":{},"tried":["d3dump01","../x"]}`))
	f.Add([]byte(`{"identity":{"processors":-1},"started":"soon"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		must.NoError(t, os.WriteFile(dir+"/"+RecordFile, data, 0o644))
		must.NoError(t, os.WriteFile(dir+"/d3dump01", []byte("x"), 0o644))
		folder, err := OpenRunFolder(dir, ".")
		must.NoError(t, err)
		defer folder.Close()
		recorded, err := folder.ReadRecord()
		if err != nil {
			return
		}
		choice, err := RestartSelect(t.Context(), folder, recorded, recorded.Identity, DefaultStdout)
		must.NoError(t, err)
		must.Eq(t, "", choice.Dump) // no output of this folder tells of a dump
	})
}
