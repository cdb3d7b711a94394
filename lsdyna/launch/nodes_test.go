// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package launch

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

func TestNodes_Command(t *testing.T) {
	n := Nodes{
		Hosts: []Host{{"lsdyna-node-0", 2}, {"lsdyna-node-1-b", 3}}, Address: "10.77.0.1", Network: "10.77.0.0/24",
		Agent: "/run/lsdyna-launch", Shim: []string{"/bin/sh", "/run/rank.sh", "1"}, AppFile: "/run/appfile",
	}
	const ranks = "/bin/sh /run/rank.sh 1 /opt/mppdyna i=main.k"
	for mpi, want := range map[lsdyna.MPI]NodesCommand{
		lsdyna.OpenMPI: {
			Args: strings.Fields("--mca plm_rsh_agent /run/lsdyna-launch --mca plm_rsh_no_tree_spawn 1" +
				" --mca oob_tcp_if_include 10.77.0.0/24 --mca btl_tcp_if_include 10.77.0.0/24" +
				" --host localhost:2,lsdyna-node-1-b:3 --map-by slot --bind-to none -np 5 " + ranks),
			Env: []string{"PRTE_MCA_plm_ssh_agent=/run/lsdyna-launch", "PRTE_MCA_plm_ssh_no_tree_spawn=1", "PRTE_MCA_prte_if_include=10.77.0.0/24"},
		},
		lsdyna.MPICH: {Args: strings.Fields("-localhost 10.77.0.1 -hosts 10.77.0.1:2,lsdyna-node-1-b:3 -np 5 -bind-to none -launcher rsh -launcher-exec /run/lsdyna-launch " + ranks)},
		lsdyna.IntelMPI: {Args: strings.Fields("-localhost 10.77.0.1 -hosts 10.77.0.1:2,lsdyna-node-1-b:3 -np 5 -genv I_MPI_PIN off" +
			" -bootstrap rsh -bootstrap-exec /run/lsdyna-launch " + ranks)},
		lsdyna.PlatformMPI: {
			Args: strings.Fields("-aff=none -f /run/appfile"), Env: []string{"MPI_REMSH=/run/lsdyna-launch", "MPI_MAX_REMSH=2"},
			AppFile: []byte("-h 10.77.0.1 -np 2 " + ranks + "\n-h lsdyna-node-1-b -np 3 " + ranks + "\n"),
		},
	} {
		t.Run(string(mpi), func(t *testing.T) {
			must.True(t, CanUseNodes(mpi))
			want.Path = "/usr/bin/mpirun"
			s := lsdyna.Solver{Name: "mpp", Path: "/opt/mppdyna", Parallel: lsdyna.MPP, Precision: lsdyna.Double, MPI: mpi, MPIRun: want.Path}
			got, err := n.Command(s, []string{"i=main.k"})
			must.NoError(t, err)
			must.Eq(t, want, got)
		})
	}
	n.Root = true
	got, err := n.Command(lsdyna.Solver{Name: "mpp", Path: "/opt/mppdyna", Parallel: lsdyna.MPP, Precision: lsdyna.Double, MPI: lsdyna.OpenMPI, MPIRun: "/usr/bin/mpirun"}, nil)
	must.NoError(t, err)
	must.Eq(t, "--allow-run-as-root", got.Args[0])
	must.False(t, CanUseNodes(""))
	n.Hosts = n.Hosts[:1]
	_, err = n.Command(lsdyna.Solver{Name: "mpp", Path: "/opt/mppdyna", Parallel: lsdyna.MPP, Precision: lsdyna.Double, MPI: lsdyna.OpenMPI, MPIRun: "/usr/bin/mpirun"}, nil)
	must.ErrorContains(t, err, "needs two at least")
}

// What "auto" gives to the ranks of each node is of that node's memory. Rank 0 reads the
// whole model and has half of its node's pool.
func TestBuild_MemoryOfSeveralNodes(t *testing.T) {
	s := lsdyna.Solver{Name: "mpp", Path: "/opt/mppdyna", Parallel: lsdyna.MPP, Precision: lsdyna.Double, MPI: lsdyna.OpenMPI, MPIRun: "/usr/bin/mpirun"}
	const limit = 16 << 30 // a pool of 2^30 words
	for name, c := range map[string]struct {
		o       Options
		memory  string
		memory2 string
		words   int64
	}{
		"the leading node":            {Options{NCPU: 5, Memory: "auto"}, "memory=536870912", "", 1 << 30 / 2 / 4},
		"with rank 0 alone":           {Options{NCPU: 1, Memory: "auto"}, "memory=1073741824", "", 0},
		"another node":                {Options{NCPU: 4, Memory: "auto", Follower: true}, "memory=1073741824", "", 1 << 30 / 4},
		"a number for rank 0":         {Options{NCPU: 4, Memory: "20m", Memory2: "auto", Follower: true}, "memory=20m", "", 1 << 30 / 4},
		"numbers":                     {Options{NCPU: 4, Memory: "20m", Memory2: "10m"}, "memory=20m", "memory2=10m", 0},
		"a number, also for one rank": {Options{NCPU: 1, Memory: "20m", Memory2: "10m"}, "memory=20m", "memory2=10m", 0},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Input, c.o.Nodes, c.o.ResourceMemoryBytes = "main.k", 2, limit
			got, err := Build(s, c.o)
			must.NoError(t, err)
			must.SliceContains(t, got.Args, c.memory)
			must.Eq(t, c.words, got.Words)
			if c.memory2 != "" {
				must.SliceContains(t, got.Args, c.memory2)
			} else {
				must.StrNotContains(t, strings.Join(got.Args, " "), "memory2=")
			}
			must.Eq(t, s.Path, got.Path)
			must.Len(t, c.o.NCPU, got.Local)
			must.Eq(t, 2*c.o.NCPU, got.Ranks)
		})
	}
}

// What Platform MPI reads as something else is refused, and not executed.
func TestNodes_PlatformMPIKnowsNoQuotes(t *testing.T) {
	n := Nodes{Hosts: []Host{{"a", 1}, {"b", 1}}, Address: "10.77.0.1", Network: "10.77.0.0/24", AppFile: "/run/appfile", Shim: []string{"/bin/sh", "/run/rank.sh"}}
	s := lsdyna.Solver{Name: "mpp", Path: "/opt/mppdyna", Parallel: lsdyna.MPP, Precision: lsdyna.Double, MPI: lsdyna.PlatformMPI, MPIRun: "/usr/bin/mpirun"}
	_, err := n.Command(s, []string{"i=main-1_a.k", "memory=20m", "p=a:b,c"})
	must.NoError(t, err)
	for _, arg := range []string{"i=my deck.k", `i="x"`, "i='x'", "#", `a\b`, "$HOME", "a;b", "a\nb", "ü", "a\xff", ""} {
		_, err := n.Command(s, []string{arg})
		must.ErrorContains(t, err, "Platform MPI cannot pass ", must.Sprint(arg))
	}
	s.Path = "/opt/my solver"
	_, err = n.Command(s, nil)
	must.ErrorContains(t, err, `because of ' ' in it`)
	n.Shim = []string{"/bin/sh", "/scratch/a#b/rank.sh"}
	s.Path = "/opt/mppdyna"
	_, err = n.Command(s, nil)
	must.ErrorContains(t, err, `because of '#' in it`)
}

func TestCheckFolder(t *testing.T) {
	for _, path := range []string{"/", "/scratch/crash", "/a.b/c-d_e+f=g@h%i,j~k#l"} {
		must.NoError(t, CheckFolder(path))
	}
	for _, path := range []string{"/a b", "/it's", `/a"b`, "/a:b", "/a;b", "/$HOME/b", "/a(b", "/a&b", "/a*b", "/ü/b", `/a\b`, "/a\nb", "/a\xff/b"} {
		must.ErrorContains(t, CheckFolder(path), "rename it without", must.Sprint(path))
	}
}
