// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"testing"

	"github.com/shoenig/test/must"
)

func withMPI(parallel Parallel, mpi MPI) Solver {
	return Solver{Path: "/x", Parallel: parallel, MPI: mpi, MPIRun: "/usr/bin/mpirun"}
}

func TestSolver_validateTellsTheOperator(t *testing.T) {
	for _, s := range []Solver{{Path: "/x"}, {Path: "/x", Parallel: SMP, Precision: Single}, withMPI(MPP, OpenMPI), withMPI(Hybrid, IntelMPI), withMPI(MPP, PlatformMPI), withMPI(MPP, MPICH)} {
		must.NoError(t, s.Validate())
	}
	for want, s := range map[string]Solver{
		"path must be absolute":     {Path: "dyna"},
		"parallel must be":          {Path: "/x", Parallel: "gpu"},
		"precision must be":         {Path: "/x", Precision: "half"},
		"are for parallel":          {Path: "/x", MPI: OpenMPI},
		"needs mpi":                 {Path: "/x", Parallel: MPP},
		"mpi must be":               {Path: "/x", Parallel: MPP, MPI: "lam"},
		"absolute path of the laun": {Path: "/x", Parallel: Hybrid, MPI: OpenMPI, MPIRun: "mpirun"},
		"impossible name":           {Path: "/x", Env: map[string]string{"A=B": "c"}},
	} {
		must.ErrorContains(t, s.Validate(), want)
	}
}
