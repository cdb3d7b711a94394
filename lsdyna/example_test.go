// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

func ExampleCommandLine() {
	solver := lsdyna.Solver{
		Name: "r14-mpp", Path: "/opt/lsdyna/mppdyna", Parallel: lsdyna.MPP, Precision: lsdyna.Double,
		MPI: lsdyna.OpenMPI, MPIRun: "/usr/bin/mpirun",
	}
	cmd, err := lsdyna.CommandLine(solver, lsdyna.RunOptions{
		Input: "main.k", NCPU: 2, Memory: "200m", Placement: lsdyna.Placement{CPUs: []int{4, 5}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cmd.Path, strings.Join(cmd.Args, " "))
	fmt.Printf("%s", cmd.Files[lsdyna.RankFile])
	// Output:
	// /usr/bin/mpirun -np 2 --use-hwthread-cpus --mca rmaps_rank_file_physical 1 --rankfile .lsdyna-rankfile /opt/lsdyna/mppdyna i=main.k memory=200m
	// rank 0=localhost slot=4
	// rank 1=localhost slot=5
}

func ExampleInspect() {
	report, err := lsdyna.Inspect(context.Background(), "testdata/error.stdout", false)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Outcome)
	fmt.Println(report.Reason)
	// Output:
	// error
	// error termination: *** Error 40500 (SOL+500) NaN detected on processor # 3 node id 77: t = 0.0123 of 0.02, 6150 cycles, 1m10s, 2 errors, 3 warnings
}
