// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package launch

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/license"
)

func smpSolver() lsdyna.Solver {
	return lsdyna.Solver{Name: "r14", Path: "/opt/dyna", Parallel: lsdyna.SMP, Precision: lsdyna.Double}
}

func mpiSolver(parallel lsdyna.Parallel, mpi lsdyna.MPI) lsdyna.Solver {
	return lsdyna.Solver{Name: "m", Path: "/opt/dyna", Parallel: parallel, Precision: lsdyna.Single, MPI: mpi, MPIRun: "/usr/bin/mpirun"}
}

func TestBuild_refusesADeclarationThatCannotWork(t *testing.T) {
	for want, s := range map[string]lsdyna.Solver{"path must be absolute": {Path: "dyna"}, "needs mpi": {Path: "/x", Parallel: lsdyna.MPP}} {
		_, err := Build(s, Options{Input: "main.k"})
		must.ErrorContains(t, err, want)
	}
}

func TestBuild_solverArguments(t *testing.T) {
	for _, c := range []struct {
		name   string
		solver lsdyna.Solver
		opts   Options
		want   string
	}{
		{"smp", smpSolver(), Options{Input: "main.k", NCPU: 8}, "i=main.k ncpu=8"},
		{"one cpu by default", smpSolver(), Options{Input: "main.k"}, "i=main.k ncpu=1"},
		{"consistent results", smpSolver(), Options{Input: "main.k", NCPU: -4}, "i=main.k ncpu=-4"},
		{
			"everything", smpSolver(),
			Options{Input: "a/main.k", NCPU: 2, Memory: "200m", JobID: "run-1", Args: []string{"endtime=0.1", "d=nodump", "case"}},
			"i=a/main.k ncpu=2 memory=200m jobid=run-1 endtime=0.1 d=nodump case",
		},
		{"memory from the limit, double", smpSolver(), Options{Input: "main.k", Memory: "auto", ResourceMemoryBytes: 1 << 30}, "i=main.k ncpu=1 memory=67108864"},
		{"memory from the limit, single", lsdyna.Solver{Path: "/x", Precision: lsdyna.Single}, Options{Input: "main.k", Memory: "auto", ResourceMemoryBytes: 1 << 30}, "i=main.k ncpu=1 memory=134217728"},
		{"single precision numbers end", lsdyna.Solver{Path: "/x", Precision: lsdyna.Single}, Options{Input: "main.k", Memory: "auto", ResourceMemoryBytes: 1 << 40}, "i=main.k ncpu=1 memory=2147483647"},
		{"memory without a limit", smpSolver(), Options{Input: "main.k", Memory: "auto"}, "i=main.k ncpu=1"},
		{"simple restart", smpSolver(), Options{Input: "main.k", Restart: "d3dump02"}, "r=d3dump02 ncpu=1"},
		{"restart of a job", smpSolver(), Options{Restart: "j1.d3dump02", JobID: "j1"}, "r=j1.d3dump02 ncpu=1 jobid=j1"},
		{"running restart", smpSolver(), Options{Restart: "runrsf"}, "r=runrsf ncpu=1"},
		{"small restart", smpSolver(), Options{Input: "small.k", Restart: "d3dump02", Both: true}, "i=small.k r=d3dump02 ncpu=1"},
		{"full restart", smpSolver(), Options{Input: "main.k", Restart: "d3full01"}, "i=main.k r=d3full01 ncpu=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd, err := Build(c.solver, c.opts)
			must.NoError(t, err)
			must.Eq(t, c.solver.Path, cmd.Path)
			must.Eq(t, c.want, strings.Join(cmd.Args, " "))
			must.Eq(t, 1, cmd.Ranks)
			must.MapEmpty(t, cmd.Files)
		})
	}
}

func TestBuild_refusesAndSaysWhatToDo(t *testing.T) {
	for want, o := range map[string]Options{
		"input is empty":         {},
		"blank in it: LS-DYNA e": {Input: "my deck.k"},
		"leads out of the run f": {Input: "../main.k"},
		"goes up again with":     {Input: "a/../main.k"},
		"give a path below work": {Input: "/etc/passwd"},
		"control character":      {Input: "main\n.k"},
		"another argument":       {Input: "r=d3dump01"},
		"letters, digits":        {Input: "main.k", JobID: "../x"},
		"begin with a letter":    {Input: "main.k", JobID: ".x"},
		"at most 80":             {Input: "main.k", JobID: strings.Repeat("x", 81)},
		"input is empty; give":   {Restart: "d3dump01", Both: true},
		"not the name of a dump": {Input: "main.k", Restart: "main.k"},
		"restart = \"../d3dump0": {Input: "main.k", Restart: "../d3dump01"},
		"use input in":           {Input: "main.k", Args: []string{"I=other.k"}},
		"use ncpu in":            {Input: "main.k", Args: []string{"ncpu=99"}},
		"use memory in":          {Input: "main.k", Args: []string{"memory=1g"}},
		"use restart in":         {Input: "main.k", Args: []string{"R=d3dump01"}},
		"its own entry":          {Input: "main.k", Args: []string{"d=nodump endtime=1"}},
		"must not be empty":      {Input: "main.k", Args: []string{""}},
		"number of words":        {Input: "main.k", Memory: "lots"},
		"200m":                   {Input: "main.k", Memory: "-5"},
		"remove memory2":         {Input: "main.k", Memory2: "5m"},
		"more than any machine":  {Input: "main.k", NCPU: 100000},
		"only 2 CPUs":            {Input: "main.k", NCPU: 3, Placement: Placement{CPUs: []int{4, 5}}},
		"there twice":            {Input: "main.k", NCPU: 2, Placement: Placement{CPUs: []int{4, 4}}},
	} {
		_, err := Build(smpSolver(), o)
		must.ErrorContains(t, err, want)
	}
	_, err := Build(mpiSolver(lsdyna.MPP, lsdyna.OpenMPI), Options{Input: "main.k", NCPU: -2})
	must.ErrorContains(t, err, "give a positive number")
	for _, ncpu := range []int{maxNCPU + 1, -maxNCPU - 1, math.MaxInt, math.MinInt} {
		_, err := Build(smpSolver(), Options{Input: "main.k", NCPU: ncpu})
		must.ErrorContains(t, err, "give at most 2048")
	}
}

func TestBuild_placesEveryRank(t *testing.T) {
	two := Placement{CPUs: []int{4, 5, 20, 21}, ByNode: [][]int{{4, 5}, {20, 21}}}
	for _, c := range []struct {
		name     string
		solver   lsdyna.Solver
		opts     Options
		want     string
		rankfile string
		threads  int
	}{
		{
			"open mpi", mpiSolver(lsdyna.MPP, lsdyna.OpenMPI),
			Options{NCPU: 4, Placement: two},
			"-np 4 --use-hwthread-cpus --mca rmaps_rank_file_physical 1 --rankfile .lsdyna-rankfile /opt/dyna i=main.k",
			"rank 0=localhost slot=4\nrank 1=localhost slot=5\nrank 2=localhost slot=20\nrank 3=localhost slot=21\n", 1,
		},
		{
			"open mpi, half of the lease, spread evenly", mpiSolver(lsdyna.MPP, lsdyna.OpenMPI),
			Options{NCPU: 2, Placement: two},
			"-np 2 --use-hwthread-cpus --mca rmaps_rank_file_physical 1 --rankfile .lsdyna-rankfile /opt/dyna i=main.k",
			"rank 0=localhost slot=4\nrank 1=localhost slot=20\n", 1,
		},
		{
			"open mpi as root", mpiSolver(lsdyna.MPP, lsdyna.OpenMPI),
			Options{NCPU: 1, Root: true, Placement: Placement{CPUs: []int{7}}},
			"--allow-run-as-root -np 1 --use-hwthread-cpus --mca rmaps_rank_file_physical 1 --rankfile .lsdyna-rankfile /opt/dyna i=main.k", "rank 0=localhost slot=7\n", 1,
		},
		{"open mpi, not pinned", mpiSolver(lsdyna.MPP, lsdyna.OpenMPI), Options{NCPU: 4}, "-np 4 --bind-to none --oversubscribe /opt/dyna i=main.k", "", 1},
		{
			"open mpi, hybrid", mpiSolver(lsdyna.Hybrid, lsdyna.OpenMPI),
			Options{NCPU: 4, Placement: two},
			"-np 2 --use-hwthread-cpus --mca rmaps_rank_file_physical 1 --rankfile .lsdyna-rankfile /opt/dyna i=main.k ncpu=2",
			"rank 0=localhost slot=4,5\nrank 1=localhost slot=20,21\n", 2,
		},
		{
			"hybrid, uneven nodes", mpiSolver(lsdyna.Hybrid, lsdyna.OpenMPI),
			Options{NCPU: 6, Placement: Placement{ByNode: [][]int{{0, 1, 2, 3}, {8, 9}}}},
			"-np 3 --use-hwthread-cpus --mca rmaps_rank_file_physical 1 --rankfile .lsdyna-rankfile /opt/dyna i=main.k ncpu=2",
			"rank 0=localhost slot=0,1\nrank 1=localhost slot=2,3\nrank 2=localhost slot=8,9\n", 2,
		},
		{"hybrid, not pinned", mpiSolver(lsdyna.Hybrid, lsdyna.MPICH), Options{NCPU: -4}, "-bind-to none -np 1 /opt/dyna i=main.k ncpu=-4", "", 4},
		{
			"intel mpi", mpiSolver(lsdyna.MPP, lsdyna.IntelMPI),
			Options{NCPU: 4, Placement: two},
			"-genv I_MPI_PIN on -genv I_MPI_PIN_PROCESSOR_LIST 4,5,20,21 -np 4 /opt/dyna i=main.k", "", 1,
		},
		{
			"intel mpi, hybrid", mpiSolver(lsdyna.Hybrid, lsdyna.IntelMPI),
			Options{NCPU: 4, Placement: two},
			"-genv I_MPI_PIN on -genv I_MPI_PIN_DOMAIN [30,300000] -np 2 /opt/dyna i=main.k ncpu=2", "", 2,
		},
		{"intel mpi, not pinned", mpiSolver(lsdyna.MPP, lsdyna.IntelMPI), Options{NCPU: 2}, "-genv I_MPI_PIN off -np 2 /opt/dyna i=main.k", "", 1},
		{"platform mpi", mpiSolver(lsdyna.MPP, lsdyna.PlatformMPI), Options{NCPU: 4, Placement: two}, "-cpu_bind=MAP_CPU:4,5,20,21 -np 4 /opt/dyna i=main.k", "", 1},
		{"platform mpi, hybrid", mpiSolver(lsdyna.Hybrid, lsdyna.PlatformMPI), Options{NCPU: 4, Placement: two}, "-cpu_bind=MASK_CPU:0x30,0x300000 -np 2 /opt/dyna i=main.k ncpu=2", "", 2},
		{"platform mpi, not pinned", mpiSolver(lsdyna.MPP, lsdyna.PlatformMPI), Options{NCPU: 2}, "-aff=none -np 2 /opt/dyna i=main.k", "", 1},
		{"mpich", mpiSolver(lsdyna.MPP, lsdyna.MPICH), Options{NCPU: 4, Placement: two}, "-bind-to user:4,5,20,21 -np 4 /opt/dyna i=main.k", "", 1},
		{"mpich, hybrid", mpiSolver(lsdyna.Hybrid, lsdyna.MPICH), Options{NCPU: 4, Placement: two}, "-bind-to user:4+5,20+21 -np 2 /opt/dyna i=main.k ncpu=2", "", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.opts.Input = "main.k"
			cmd, err := Build(c.solver, c.opts)
			must.NoError(t, err)
			must.Eq(t, "/usr/bin/mpirun", cmd.Path)
			must.Eq(t, c.want, strings.Join(cmd.Args, " "))
			must.Eq(t, c.rankfile, string(cmd.Files[RankFile]))
			must.Eq(t, c.threads, cmd.Threads)
		})
	}
}

func TestBuild_memoryOfRanks(t *testing.T) {
	o := Options{Input: "main.k", NCPU: 5, Memory: "auto", ResourceMemoryBytes: 8 << 30}
	cmd, err := Build(mpiSolver(lsdyna.MPP, lsdyna.MPICH), o)
	must.NoError(t, err)
	// Half of 8 GiB in 4-byte words is 1 Gi: one half for rank 0, the other for four ranks.
	must.SliceContains(t, cmd.Args, "memory=536870912")
	must.SliceContains(t, cmd.Args, "memory2=134217728")
	must.SliceEmpty(t, cmd.Notes)

	o.Memory, o.Memory2 = "1g", "1g"
	cmd, err = Build(mpiSolver(lsdyna.MPP, lsdyna.MPICH), o)
	must.NoError(t, err)
	must.Len(t, 1, cmd.Notes)
	must.StrContains(t, cmd.Notes[0], "more than the 8192 MiB of resources.memory")

	o.NCPU, o.Memory, o.Memory2 = 1, "auto", "auto"
	cmd, err = Build(mpiSolver(lsdyna.MPP, lsdyna.MPICH), o)
	must.NoError(t, err)
	must.Eq(t, "i=main.k memory=1073741824", strings.Join(cmd.Args[len(cmd.Args)-2:], " "))
}

func TestBuild_environment(t *testing.T) {
	s := smpSolver()
	s.Env = map[string]string{"KMP_STACKSIZE": "64m", "LSTC_LICENSE": "local"}
	cmd, err := Build(s, Options{
		Input: "main.k", NCPU: -3,
		Env: map[string]string{
			"HOME": "/h", "OMP_NUM_THREADS": "64", "OMP_PLACES": "cores", "KMP_AFFINITY": "compact", "GOMP_CPU_AFFINITY": "0",
			"OMPI_COMM_WORLD_RANK": "3", "PMIX_RANK": "3", "I_MPI_PIN_DOMAIN": "x", "MPI_BIND_MAP": "0", "MPI_CPU_AFFINITY": "RANK", "PRTE_MCA_hwloc_default_binding_policy": "core", "OMPI_MCA_btl": "self,vader", "LSTC_LICENSE": "job",
		},
		License: &license.Config{Type: "network", Server: "31010@lic1"},
	})
	must.NoError(t, err)
	must.True(t, slices.IsSorted(cmd.Env))
	must.Eq(t, []string{
		"HOME=/h", "KMP_STACKSIZE=64m", "LSTC_LICENSE=network", "LSTC_LICENSE_SERVER=31010@lic1", "OMPI_MCA_btl=self,vader",
		"OMP_DYNAMIC=false", "OMP_NUM_THREADS=3", "OMP_PROC_BIND=false",
	}, cmd.Env)
}

// FuzzCommandLine checks that no input of a user leads to a line in which it is
// more than its own argument.
func FuzzBuild(f *testing.F) {
	f.Add("main.k", "job1", "d=nodump", "200m", "", 4)
	f.Add("a b.k", "../x", "i=x", "auto", "d3dump01", -2)
	f.Fuzz(func(t *testing.T, input, jobID, arg, memory, restart string, ncpu int) {
		cmd, err := Build(smpSolver(), Options{Input: input, JobID: jobID, Args: []string{arg}, Memory: memory, Restart: restart, NCPU: ncpu})
		if err != nil {
			return
		}
		keys := map[string]int{}
		for _, a := range cmd.Args {
			key, value, _ := strings.Cut(strings.ToLower(a), "=")
			keys[key]++
			must.False(t, strings.ContainsAny(a, " \t\n\x00"))
			if key == "i" || key == "r" || key == "jobid" {
				must.False(t, strings.HasPrefix(value, "/") || strings.Contains("/"+value+"/", "/../"))
			}
		}
		for key := range ours {
			must.LessEq(t, 1, keys[key])
		}
	})
}
