// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package launch

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

func TestPack_KeepsThreadsOfARankTogether(t *testing.T) {
	for name, c := range map[string]struct {
		nodes   [][]int
		threads int
		caches  map[int]int
		want    [][]int
	}{
		"no caches known":                     {[][]int{{0, 1, 2, 3}}, 2, nil, [][]int{{0, 1}, {2, 3}}},
		"a cache has one more":                {[][]int{{0, 1, 2, 4, 5, 6, 7, 8}}, 2, map[int]int{0: 0, 1: 0, 2: 0, 4: 1, 5: 1, 6: 1, 7: 1, 8: 1}, [][]int{{0, 1}, {4, 5}, {6, 7}, {2, 8}}},
		"caches that ranks do not fit into":   {[][]int{{0, 1, 2, 3}}, 4, map[int]int{0: 0, 1: 0, 2: 1, 3: 1}, [][]int{{0, 1, 2, 3}}},
		"nodes that have one left each":       {[][]int{{0, 1, 2}, {8, 9, 10}}, 2, nil, [][]int{{0, 1}, {8, 9}, {2, 10}}},
		"numbers of one cache are not in row": {[][]int{{0, 2, 1, 3}}, 2, map[int]int{0: 0, 1: 0, 2: 1, 3: 1}, [][]int{{0, 1}, {2, 3}}},
		"one thread":                          {[][]int{{0, 1}, {8}}, 1, map[int]int{0: 0, 1: 0, 8: 1}, [][]int{{0}, {1}, {8}}},
	} {
		t.Run(name, func(t *testing.T) { must.Eq(t, c.want, pack(c.nodes, c.threads, c.caches)) })
	}
}

func TestBuild_RanksAndThreadsThatTheJobSays(t *testing.T) {
	place := Placement{CPUs: []int{0, 1, 2, 3, 4, 5, 6, 7}, ByNode: [][]int{{0, 1, 2, 3}, {4, 5, 6, 7}}}
	openMPI := lsdyna.Solver{Name: "h", Path: "/opt/hyb", Parallel: lsdyna.Hybrid, MPI: lsdyna.OpenMPI, MPIRun: "/usr/bin/mpirun"}
	hydra := openMPI
	hydra.MPI = lsdyna.MPICH
	for name, c := range map[string]struct {
		ranks, ncpu                        int
		shape, ncpuArg, np, rankfile, bind string
	}{
		"by the NUMA nodes":  {0, 8, "2 ranks × 4 threads", "ncpu=4", "2", "rank 0=localhost slot=0,1,2,3\nrank 1=localhost slot=4,5,6,7\n", "user:0+1+2+3,4+5+6+7"},
		"four ranks":         {4, 8, "4 ranks × 2 threads", "ncpu=2", "4", "rank 0=localhost slot=0,1\nrank 1=localhost slot=2,3\nrank 2=localhost slot=4,5\nrank 3=localhost slot=6,7\n", "user:0+1,2+3,4+5,6+7"},
		"one rank":           {1, 8, "1 rank × 8 threads", "ncpu=8", "1", "rank 0=localhost slot=0,1,2,3,4,5,6,7\n", "user:0+1+2+3+4+5+6+7"},
		"consistent results": {4, -8, "4 ranks × 2 threads", "ncpu=-2", "4", "rank 0=localhost slot=0,1\nrank 1=localhost slot=2,3\nrank 2=localhost slot=4,5\nrank 3=localhost slot=6,7\n", "user:0+1,2+3,4+5,6+7"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Input: "main.k", NCPU: c.ncpu, RanksPerNode: c.ranks, Placement: place}
			for _, s := range []lsdyna.Solver{openMPI, hydra} {
				cmd, err := Build(s, o)
				must.NoError(t, err)
				must.Eq(t, c.shape, cmd.Shape())
				must.SliceContains(t, cmd.Args, c.ncpuArg)
				must.SliceContainsSubset(t, cmd.Args, []string{"-np", c.np})
				must.SliceContains(t, cmd.Env, "OMP_NUM_THREADS="+strings.TrimLeft(c.ncpuArg, "ncpu=-"))
				if s.MPI == lsdyna.OpenMPI {
					must.Eq(t, c.rankfile, string(cmd.Files[RankFile]))
				} else {
					must.SliceContains(t, cmd.Args, c.bind)
				}
			}
		})
	}
}

func TestCommand_Shape(t *testing.T) {
	for want, c := range map[string]Command{
		"1 thread":            {Ranks: 1, Threads: 1},
		"8 threads":           {Ranks: 1, Threads: 8},
		"1 rank":              {Ranks: 1, Threads: 1, mpi: true},
		"8 ranks":             {Ranks: 8, Threads: 1, mpi: true},
		"2 ranks × 4 threads": {Ranks: 2, Threads: 4, mpi: true},
		"3 ranks × 4 threads": {Ranks: 9, Threads: 4, mpi: true, Local: make([][]int, 3)}, // of a run on three nodes
	} {
		must.Eq(t, want, c.Shape())
	}
}
