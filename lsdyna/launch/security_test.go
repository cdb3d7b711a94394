// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package launch

import (
	"slices"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// What a job gives as args goes to the solver, never to the launcher, and cannot
// give once more what the driver checks.
func TestBuild_argsAreTheSolversAlone(t *testing.T) {
	evil := []string{"--allow-run-as-root", "-x", "LD_PRELOAD=/evil.so", "-genv", "--mca", "o=/etc/passwd", "d=nodump"}
	for _, mpi := range []lsdyna.MPI{lsdyna.OpenMPI, lsdyna.IntelMPI, lsdyna.PlatformMPI, lsdyna.MPICH} {
		s := lsdyna.Solver{Name: "s", Path: "/opt/solver", Parallel: lsdyna.MPP, MPI: mpi, MPIRun: "/opt/mpirun"}
		cmd, err := Build(s, Options{Input: "main.k", NCPU: 2, Args: evil})
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
	s := lsdyna.Solver{Name: "s", Path: "/opt/solver"}
	for _, arg := range []string{
		"i=/etc/passwd", "I=other.k", "-i=x", "--I=x", "r=/tmp/d3dump01", "ncpu=64", "NCPU=64", "memory=9000m", "memory2=1", "jobid=../../x",
		"", "two words", "a\nb", "a\tb", "a\x00b",
	} {
		_, err := Build(s, Options{Input: "main.k", Args: []string{arg}})
		must.Error(t, err, must.Sprintf("args %q", arg))
	}
}

// Names of a job that become paths stay below the run folder.
func TestBuild_namesOfTheJobLeadNowhereElse(t *testing.T) {
	s := lsdyna.Solver{Name: "s", Path: "/opt/solver"}
	for _, name := range []string{"/etc/passwd", "../main.k", "sub/../../main.k", "..", "a,b", "a=b", "x y", ""} {
		_, err := Build(s, Options{Input: name})
		must.Error(t, err, must.Sprintf("input %q", name))
		_, err = Build(s, Options{Input: "main.k", Restart: name + "/d3dump01"})
		must.Error(t, err, must.Sprintf("restart %q", name))
	}
	for _, id := range []string{"../x", "a/b", ".hidden", "-x", "a b", "a\n", "é"} {
		_, err := Build(s, Options{Input: "main.k", JobID: id})
		must.Error(t, err, must.Sprintf("jobid %q", id))
	}
}
