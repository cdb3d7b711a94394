// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"math"
	"testing"

	"github.com/shoenig/test/must"
)

// shapes is a node with a solver of each kind.
func shapes(t *testing.T) *Settings {
	config := sound()
	config.WorkRoots = []string{"/scratch"}
	for name, parallel := range map[string]string{"mpp": "mpp", "hyb": "hybrid"} {
		config.Solvers[name] = SolverConfig{Path: "/opt/" + name, Parallel: parallel, MPI: "openmpi", MPIRun: "/usr/bin/mpirun"}
	}
	s, err := Parse(config)
	must.NoError(t, err)
	return s
}

func TestParseTask_Shape(t *testing.T) {
	s := shapes(t)
	for name, c := range map[string]struct {
		solver         string
		ncpu           int
		ranks, threads *int
		nodes, perNode *int
		want           string // the error's
		ranksEach, of  int
	}{
		"nothing said":             {solver: "hyb", ncpu: 8},
		"both":                     {solver: "hyb", ranks: new(2), threads: new(4), ranksEach: 2, of: 4},
		"both, and ncpu fits":      {solver: "hyb", ncpu: 8, ranks: new(2), threads: new(4), ranksEach: 2, of: 4},
		"consistent results":       {solver: "hyb", ncpu: -8, ranks: new(2), threads: new(4), ranksEach: 2, of: 4},
		"ranks of ncpu":            {solver: "hyb", ncpu: 8, ranks: new(4), ranksEach: 4, of: 2},
		"threads of ncpu":          {solver: "hyb", ncpu: 8, threads: new(4), ranksEach: 2, of: 4},
		"both, and ncpu does not":  {solver: "hyb", ncpu: 6, ranks: new(2), threads: new(4), want: "2 ranks × 4 threads = 8 cores, and ncpu = 6: leave one of ncpu, ranks and threads out, or make them fit"},
		"ranks that do not divide": {solver: "hyb", ncpu: 8, ranks: new(3), want: "3 ranks cannot share 8 cores evenly (ncpu = 8)"},
		"threads that do not":      {solver: "hyb", ncpu: 8, threads: new(3), want: "ranks of 3 threads cannot share 8 cores evenly (ncpu = 8)"},
		"no rank":                  {solver: "hyb", ranks: new(0), want: "ranks = 0: give the number of MPI ranks of the run, as mpirun -np has it, at least 1"},
		"no thread":                {solver: "hyb", threads: new(-1), want: "threads = -1: give the number of threads of each rank, as LS-DYNA's ncpu= has it, at least 1"},
		"too many":                 {solver: "hyb", ranks: new(math.MaxInt), threads: new(4), want: "is more than any machine has"},
		"MPP ranks":                {solver: "mpp", ranks: new(4), ranksEach: 4, of: 1},
		"MPP ranks, one thread":    {solver: "mpp", ranks: new(4), threads: new(1), ranksEach: 4, of: 1},
		"MPP ranks beside ncpu":    {solver: "mpp", ncpu: 8, ranks: new(4), want: "4 ranks × 1 thread = 4 cores (solver \"mpp\" is MPP: a rank has one thread), and ncpu = 8"},
		"MPP threads":              {solver: "mpp", threads: new(2), want: "threads = 2: solver \"mpp\" is MPP, whose ranks have one thread each; say ranks, or take a hybrid solver"},
		"SMP threads":              {solver: "r14", threads: new(4), ranksEach: 1, of: 4},
		"SMP threads beside ncpu":  {solver: "r14", ncpu: 2, threads: new(4), want: "1 rank × 4 threads = 4 cores, and ncpu = 2"},
		"SMP ranks":                {solver: "r14", ranks: new(4), want: "ranks = 4: solver \"r14\" is SMP, which is one process with threads; say threads"},
		"ranks of all nodes":       {solver: "hyb", ncpu: 8, ranks: new(6), nodes: new(3), ranksEach: 2, of: 4},
		"not on every node":        {solver: "hyb", ranks: new(4), nodes: new(3), want: "ranks = 4 cannot be divided evenly among nodes = 3"},
		"ranks told twice":         {solver: "hyb", ranks: new(6), nodes: new(3), perNode: new(3), want: "ranks = 6 on nodes = 3 are 2 on each, and ranks_per_node = 3: leave one of them out"},
		"ranks told twice alike":   {solver: "hyb", ncpu: 4, ranks: new(6), nodes: new(3), perNode: new(2), ranksEach: 2, of: 2},
		"on each node":             {solver: "hyb", ncpu: 9, ranks: new(6), nodes: new(3), want: "2 ranks on each node cannot share 9 cores evenly (ncpu = 9)"},
	} {
		t.Run(name, func(t *testing.T) {
			task := soundTask()
			task.Solver, task.WorkDir, task.NCPU = c.solver, "/scratch/x", c.ncpu
			task.Ranks, task.Threads, task.Nodes, task.RanksPerNode = c.ranks, c.threads, c.nodes, c.perNode
			got, err := s.ParseTask(task)
			if c.want != "" {
				must.ErrorContains(t, err, c.want)
				return
			}
			must.NoError(t, err)
			must.Eq(t, [2]int{c.ranksEach, c.of}, [2]int{got.RanksPerNode, got.Threads})
		})
	}
}

func TestSettleCores(t *testing.T) {
	s := shapes(t)
	for name, c := range map[string]struct {
		solver             string
		ncpu               int
		ranks, threads     *int
		reserved, physical int
		want               string // the error's
		ncpuIs             int
		shape              [2]int
	}{
		"nothing said":                 {solver: "hyb", ncpuIs: 1},
		"resources.cores":              {solver: "hyb", reserved: 8, physical: 4, ncpuIs: 4},
		"fewer than reserved":          {solver: "hyb", ncpu: 2, reserved: 8, physical: 8, ncpuIs: 2},
		"more than reserved":           {solver: "hyb", ncpu: 9, reserved: 8, physical: 8, want: "ncpu = 9 wants more than the 8 cores that resources.cores reserves: raise resources.cores, or leave ncpu out"},
		"both":                         {solver: "hyb", ranks: new(2), threads: new(4), ncpuIs: 8, shape: [2]int{2, 4}},
		"both, fewer than reserved":    {solver: "hyb", ranks: new(2), threads: new(3), reserved: 8, physical: 8, ncpuIs: 6, shape: [2]int{2, 3}},
		"both, more than reserved":     {solver: "hyb", ranks: new(4), threads: new(4), reserved: 12, physical: 12, want: "4 ranks × 4 threads = 16 cores wants more than the 12 cores that resources.cores reserves: raise resources.cores, or lower ranks or threads"},
		"ranks of resources.cores":     {solver: "hyb", ranks: new(2), reserved: 8, physical: 8, ncpuIs: 8, shape: [2]int{2, 4}},
		"threads of resources.cores":   {solver: "hyb", threads: new(2), reserved: 8, physical: 8, ncpuIs: 8, shape: [2]int{4, 2}},
		"threads that do not divide":   {solver: "hyb", threads: new(3), reserved: 8, physical: 8, want: "ranks of 3 threads cannot share 8 cores evenly (resources.cores, of which ncpu follows)"},
		"ranks alone":                  {solver: "hyb", ranks: new(3), ncpuIs: 3, shape: [2]int{3, 1}},
		"threads alone":                {solver: "hyb", threads: new(3), ncpuIs: 3, shape: [2]int{1, 3}},
		"MPP ranks":                    {solver: "mpp", ranks: new(3), reserved: 8, physical: 8, ncpuIs: 3, shape: [2]int{3, 1}},
		"SMP threads":                  {solver: "r14", threads: new(3), ncpuIs: 3, shape: [2]int{1, 3}},
		"consistent results keep ncpu": {solver: "hyb", ncpu: -8, ranks: new(2), ncpuIs: -8, shape: [2]int{2, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			task := soundTask()
			task.Solver, task.NCPU, task.Ranks, task.Threads = c.solver, c.ncpu, c.ranks, c.threads
			got, err := s.ParseTask(task)
			must.NoError(t, err)
			err = got.SettleCores(c.reserved, c.physical)
			if c.want != "" {
				must.ErrorContains(t, err, c.want)
				return
			}
			must.NoError(t, err)
			must.Eq(t, c.ncpuIs, got.NCPU)
			must.Eq(t, c.shape, [2]int{got.RanksPerNode, got.Threads})
		})
	}
}
