// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rank

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/affinity"
)

func TestLocalRank(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want int
		err  string
	}{
		"Open MPI":         {map[string]string{"OMPI_COMM_WORLD_LOCAL_RANK": "3", "OMPI_COMM_WORLD_RANK": "11"}, 3, ""},
		"Hydra":            {map[string]string{"MPI_LOCALRANKID": "1", "PMI_RANK": "5"}, 1, ""},
		"Platform MPI":     {map[string]string{"MPI_LOCALRANK": "0"}, 0, ""},
		"no number":        {map[string]string{"MPI_LOCALRANKID": "x"}, 0, `"x" is not the number of a rank`},
		"below 0":          {map[string]string{"MPI_LOCALRANKID": "-1"}, 0, "is not the number"},
		"without launcher": {nil, 0, "an MPI launcher starts this"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := LocalRank(func(n string) string { return c.env[n] })
			if c.err != "" {
				must.ErrorContains(t, err, c.err)
				return
			}
			must.NoError(t, err)
			must.Eq(t, c.want, got)
		})
	}
}

func TestShare(t *testing.T) {
	two := []cpuset.Set{cpuset.Of(0, 1, 2, 3, 8, 9, 10, 11), cpuset.Of(4, 5, 6, 7, 12, 13, 14, 15)}
	for name, c := range map[string]struct {
		lease   cpuset.Set
		nodes   []cpuset.Set
		threads int
		want    []string // by rank
	}{
		"one core each":                        {cpuset.Of(2, 5), two, 1, []string{"2", "5"}},
		"two threads of one node each":         {cpuset.Of(2, 3, 5, 6), two, 2, []string{"2-3", "5-6"}},
		"whole ranks first, then what is left": {cpuset.Of(1, 2, 3, 5, 6, 7), two, 2, []string{"1-2", "5-6", "3,7"}},
		"Linux tells of no nodes":              {cpuset.Of(0, 1), nil, 1, []string{"0", "1"}},
		"a CPU of no node":                     {cpuset.Of(1, 20), two, 1, []string{"1", "20"}},
	} {
		t.Run(name, func(t *testing.T) {
			for rank, want := range c.want {
				got, err := Share(c.lease, c.nodes, rank, c.threads)
				must.NoError(t, err)
				must.Eq(t, want, got.String())
			}
			_, err := Share(c.lease, c.nodes, len(c.want), c.threads)
			must.ErrorContains(t, err, "finds")
		})
	}
}

func TestNUMANodes(t *testing.T) {
	root := t.TempDir()
	for node, cpus := range map[string]string{"node0": "0-1\n", "node2": "4\n", "node10": "6\n", "node3": "x\n"} {
		must.NoError(t, os.Mkdir(filepath.Join(root, node), 0o755))
		must.NoError(t, os.WriteFile(filepath.Join(root, node, "cpulist"), []byte(cpus), 0o644))
	}
	var got []string
	for _, n := range numaNodes(root) {
		got = append(got, n.String())
	}
	must.Eq(t, []string{"0-1", "4", "6"}, got)
}

func TestPlan(t *testing.T) {
	for text, want := range map[string]Plan{"-": nil, "3": {{3}}, "0,8/1,9": {{0, 8}, {1, 9}}} {
		got, err := ParsePlan(text)
		must.NoError(t, err)
		must.Eq(t, want, got)
		must.Eq(t, text, got.String())
	}
	for _, text := range []string{"", "x", "1//2", "/", "1/-"} {
		_, err := ParsePlan(text)
		must.ErrorContains(t, err, "does not name the CPUs of each rank")
	}
}

// A lease may move between the plan and the launch.
func TestPlace(t *testing.T) {
	p := Plan{{9, 1}, {4, 5}}
	got, err := place(p, cpuset.Of(1, 4, 5, 9), 0, 2)
	must.NoError(t, err)
	must.Eq(t, "1,9", got.String())
	_, err = place(p, cpuset.Of(6), 1, 1)
	must.ErrorContains(t, err, "finds 1 CPUs")
	got, err = place(p, cpuset.Of(6), 0, 1)
	must.NoError(t, err)
	must.Eq(t, "6", got.String())
}

func FuzzParsePlan(f *testing.F) {
	for _, seed := range []string{"-", "0,8/1,9", "0-3/4", "1//2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := ParsePlan(text); err == nil {
			again, err := ParsePlan(p.String())
			must.NoError(t, err)
			must.Eq(t, p, again)
		}
	})
}

// The solver finds its own CPU when it begins, and executes in the rank's place.
func TestMain_BindsBeforeTheSolverExecutes(t *testing.T) {
	own, err := affinity.Get(0)
	must.NoError(t, err)
	call := func(rank, plan string) (string, string) {
		cmd := exec.Command(os.Args[0], "rank", plan, NoLeader, "1", "/bin/sh", "-c", "grep Cpus_allowed_list /proc/self/status; echo $1 $$", "sh", "a b")
		cmd.Env = os.Environ()
		if rank != "" {
			cmd.Env = append(cmd.Env, "MPI_LOCALRANKID="+rank)
		}
		var errs strings.Builder
		cmd.Stderr = &errs
		out, _ := cmd.Output()
		return string(out), errs.String()
	}
	cpus := own.Slice()[:min(own.Len(), 2)]
	var plan Plan
	for _, cpu := range cpus {
		plan = append(Plan{{cpu}}, plan...) // not in the order of their numbers
	}
	for i := range plan {
		out, errs := call(strconv.Itoa(i), plan.String())
		must.Eq(t, "", errs)
		must.StrContains(t, out, "Cpus_allowed_list:\t"+strconv.Itoa(plan[i][0])+"\n")
		must.StrContains(t, out, "a b ")
	}
	out, errs := call("0", "-")
	must.Eq(t, "", errs)
	must.StrContains(t, out, "Cpus_allowed_list:\t"+own.String()+"\n", must.Sprint("a run that is not pinned"))
	out, errs = call("", plan.String())
	must.StrContains(t, out+errs, "an MPI launcher starts this")
}

func TestPlain_TellsNothingOfLicences(t *testing.T) {
	env := []string{
		"PATH=/bin", "LSTC_LICENSE_SERVER=31010@l", "LM_LICENSE_FILE=1@l", "VAULT_TOKEN=x", "PATHS=x", "LC_ALL=C", "I_MPI_DEBUG=1",
		"ANSYSLMD_LICENSE_FILE=x", "NOMAD_TOKEN=x", "NOMAD_DRIVER_LSDYNA_RUN=k", "LC=x", "odd",
	}
	must.Eq(t, []string{"PATH=/bin", "LC_ALL=C", "I_MPI_DEBUG=1", "NOMAD_DRIVER_LSDYNA_RUN=k"}, Plain(env))
}

// A rank on the leading node has the leader's environment, beneath what its launcher
// says; on the others it has its own.
func TestMain_HasTheLeadersEnvironment(t *testing.T) {
	leader := exec.Command("/bin/cat")
	leader.Env = []string{"LSTC_LICENSE_SERVER=31010@l", "PATH=/leaders", "NOMAD_DRIVER_LSDYNA_NODES={}", "LINES=a\nb"}
	stdin, err := leader.StdinPipe()
	must.NoError(t, err)
	must.NoError(t, leader.Start())
	defer func() { _ = stdin.Close(); _ = leader.Wait() }()
	for of, want := range map[string]string{
		strconv.Itoa(leader.Process.Pid): "31010@l /own a\nb none\n",
		NoLeader:                         " /own  none\n",
	} {
		cmd := exec.Command(os.Args[0], "rank", "-", of, "1", "/bin/sh", "-c", `echo "$LSTC_LICENSE_SERVER $PATH $LINES ${NOMAD_DRIVER_LSDYNA_NODES:-none}"`)
		cmd.Env = []string{"MPI_LOCALRANKID=0", "PATH=/own"}
		out, err := cmd.CombinedOutput()
		must.NoError(t, err, must.Sprint(string(out)))
		must.Eq(t, want, string(out))
	}
	out, _ := exec.Command(os.Args[0], "rank", "-", "0", "1", "/bin/true").CombinedOutput()
	must.StrContains(t, string(out), "read the environment of the run's leader")
}
