// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package launch_test

import (
	"fmt"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
)

func ExampleBuild() {
	solver := lsdyna.Solver{
		Name: "r14-mpp", Path: "/opt/lsdyna/mppdyna", Parallel: lsdyna.MPP, Precision: lsdyna.Double,
		MPI: lsdyna.OpenMPI, MPIRun: "/usr/bin/mpirun",
	}
	cmd, err := launch.Build(solver, launch.Options{
		Input: "main.k", NCPU: 2, Memory: "200m", Placement: launch.Placement{CPUs: []int{4, 5}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cmd.Path, strings.Join(cmd.Args, " "))
	fmt.Printf("%s", cmd.Files[launch.RankFile])
	// Output:
	// /usr/bin/mpirun -np 2 --use-hwthread-cpus --mca rmaps_rank_file_physical 1 --rankfile .lsdyna-rankfile /opt/lsdyna/mppdyna i=main.k memory=200m
	// rank 0=localhost slot=4
	// rank 1=localhost slot=5
}
