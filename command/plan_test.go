// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/statedir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/public"
)

func TestPlan_drawsTheCoresAndSaysWhy(t *testing.T) {
	t.Setenv("COLUMNS", "100")
	sysfs := twoSockets.Sysfs(t)
	topo, _, err := topology.Discover(sysfs)
	must.NoError(t, err)
	lease, err := allocator.New(topo, topo.Online, allocator.Options{}).Plan(3, cpuset.Of(0, 9))
	must.NoError(t, err)
	r := call(t, "plan", "-ncpu", "3", "-busy", "0,9", "-sysfs", sysfs)
	must.Eq(t, exitOK, r.code)
	must.Eq(t, "", r.errout)
	must.Eq(t, strings.TrimPrefix(`
2 sockets, 2 NUMA nodes, 8 cores, 16 CPUs, hyper-threading

Socket 0, NUMA node 0
  cpu 0-3    x - . .
  cpu 8-11   - x . .
Socket 1, NUMA node 1
  cpu 4-7    # # # .
  cpu 12-15  - - - .
x busy   - sibling of a busy thread   . free   # the job   - idle sibling of the job

The job gets cores 4-6 (3 cores, NUMA node 1).
Siblings 12-14 stay idle.
Why: `, "\n")+lease.Reason+`
Taken into account: -busy 0,9.
What runs is not taken into account: this is a captured machine; -state-dir names whose tasks count.
Cores are given out with smt = "isolate" and layout = "pack".
`, r.out)
}

func TestPlan_jsonSaysWhatTheAllocatorSays(t *testing.T) {
	sysfs := twoSockets.Sysfs(t)
	topo, _, err := topology.Discover(sysfs)
	must.NoError(t, err)
	for name, c := range map[string]struct {
		args []string
		opts allocator.Options
		n    int
		busy cpuset.Set
	}{
		"defaults": {nil, allocator.Options{}, 4, cpuset.Set{}},
		"busy":     {[]string{"-busy", "0-2"}, allocator.Options{}, 4, cpuset.Range(0, 2)},
		"share":    {[]string{"-smt", "share"}, allocator.Options{SMT: allocator.SMTShare}, 12, cpuset.Set{}},
		"scatter":  {[]string{"-layout", "scatter"}, allocator.Options{Layout: allocator.LayoutScatter}, 4, cpuset.Set{}},
	} {
		t.Run(name, func(t *testing.T) {
			lease, err := allocator.New(topo, topo.Online, c.opts).Plan(c.n, c.busy)
			must.NoError(t, err)
			number := map[int]string{4: "4", 12: "12"}[c.n]
			r := call(t, append([]string{"plan", "-json", "-sysfs", sysfs, "-ncpu", number}, c.args...)...)
			must.Eq(t, exitOK, r.code)
			var got planReport
			must.NoError(t, json.Unmarshal([]byte(r.out), &got))
			got.planBasis = planBasis{}
			must.Eq(t, planReport{lease.CPUs.Slice(), lease.NUMANodes, lease.Reason, lease.Held.Difference(lease.CPUs).Slice(), planBasis{}}, got)
			must.Len(t, c.n, got.Cores)
		})
	}
}

func TestPlan_exits1WhereTooFewCoresAreFree(t *testing.T) {
	sysfs := twoSockets.Sysfs(t)
	r := call(t, "plan", "-ncpu", "4", "-busy", "0-4", "-sysfs", sysfs, "-json")
	must.Eq(t, exitNo, r.code)
	must.Eq(t, `{
  "cores": [],
  "numa_nodes": [],
  "reason": "not enough free cores: 4 cores asked, 3 free",
  "idle_siblings": [],
  "smt": "isolate",
  "layout": "pack",
  "tasks": 0,
  "taken": [],
  "reserved": [],
  "not_considered": "this is a captured machine; -state-dir names whose tasks count",
  "notes": []
}
`, r.out)
	r = call(t, "plan", "-ncpu", "4", "-busy", "0-4", "-sysfs", sysfs)
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.out, "No: not enough free cores: 4 cores asked, 3 free\n")
	must.StrContains(t, r.out, `With smt = "share"`)
	must.StrNotContains(t, call(t, "plan", "-ncpu", "17", "-smt", "share", "-sysfs", sysfs).out, "With smt")
}

// runningNode is a node with two tasks on cores 0-1 and 4 and, where Nomad has reserved it
// for others, core 5.
func runningNode(t *testing.T, settings state.Settings) (dir, sysfs string) {
	t.Helper()
	sysfs = twoSockets.Sysfs(t)
	topologytest.WriteFile(t, filepath.Join(sysfs, "fs/cgroup/cpuset/nomad/cpuset.cpus"), "0-15")
	topologytest.WriteFile(t, filepath.Join(sysfs, "fs/cgroup/cpuset/nomad/reserve/cpuset.cpus"), "5")
	dir = withSettings(t, settings)
	nodetest.Task{Job: "crash\x1b[2J", Alloc: allocA, Name: "solve", Cores: []int{0, 1}, Since: time.Hour}.Make(t, dir)
	nodetest.Task{Job: "drop", Alloc: allocB, Name: "solve", Cores: []int{4}, Since: time.Minute}.Make(t, dir)
	nodetest.Task{Job: "old", Alloc: allocB, Name: "over", Cores: []int{2, 3}, Over: true}.Make(t, dir)
	return dir, sysfs
}

func planOf(t *testing.T, code int, args ...string) planReport {
	t.Helper()
	r := call(t, append([]string{"plan", "-json"}, args...)...)
	must.Eq(t, code, r.code, must.Sprint(r.errout))
	var got planReport
	must.NoError(t, json.Unmarshal([]byte(r.out), &got))
	return got
}

func TestPlan_takesWhatRunsIntoAccount(t *testing.T) {
	dir, sysfs := runningNode(t, state.Settings{SMT: "isolate", Layout: "pack"})
	got := planOf(t, exitOK, "-ncpu", "4", "-state-dir", dir, "-sysfs", sysfs)
	must.Eq(t, []int{2, 3, 6, 7}, got.Cores)
	must.Eq(t, 2, got.Tasks)
	must.Eq(t, []int{0, 1, 4, 8, 9, 12}, got.Taken)
	must.Eq(t, []int{5}, got.Reserved)
	must.Nil(t, got.NotConsidered)
	must.Eq(t, "not enough free cores: 5 cores asked, 4 free", planOf(t, exitNo, "-ncpu", "5", "-state-dir", dir, "-sysfs", sysfs).Reason)
	must.Eq(t, []int{2, 3, 7}, planOf(t, exitOK, "-ncpu", "3", "-busy", "6", "-state-dir", dir, "-sysfs", sysfs).Cores)

	t.Setenv("COLUMNS", "200")
	out := call(t, "plan", "-ncpu", "2", "-state-dir", dir, "-sysfs", sysfs).out
	must.StrContains(t, out, "  cpu 0-3    A A # #\n")
	must.StrContains(t, out, "  cpu 4-7    B = . .\n")
	must.StrContains(t, out, "Taken into account: A crash?[2J/solve on 0-1; B drop/solve on 4; 5, which Nomad has reserved for others.\n")
}

func TestPlan_asIfNothingRan(t *testing.T) {
	dir, sysfs := runningNode(t, state.Settings{SMT: "share", Layout: "scatter", Usable: "0-3,8-11"})
	got := planOf(t, exitOK, "-ncpu", "8", "-empty", "-state-dir", dir, "-sysfs", sysfs)
	must.Eq(t, []int{0, 1, 2, 3, 8, 9, 10, 11}, got.Cores) // usable is the plugin's all the same
	must.Eq(t, 0, got.Tasks)
	must.SliceEmpty(t, got.Reserved)
	must.Eq(t, "-empty", *got.NotConsidered)
}

func TestPlan_givesOutCoresAsThePluginDoes(t *testing.T) {
	dir, sysfs := runningNode(t, state.Settings{SMT: "share", Layout: "scatter", Usable: "0-3,6-11"})
	got := planOf(t, exitOK, "-ncpu", "3", "-state-dir", dir, "-sysfs", sysfs)
	must.Eq(t, []string{"share", "scatter"}, []string{string(got.SMT), string(got.Layout)})
	must.Eq(t, []int{0, 1}, got.NUMANodes)
	must.Eq(t, []int{0, 1, 4}, got.Taken) // siblings are cores, too
	got = planOf(t, exitOK, "-ncpu", "2", "-smt", "isolate", "-layout", "pack", "-usable", "4-7,12-15", "-state-dir", dir, "-sysfs", sysfs)
	must.Eq(t, []int{6, 7}, got.Cores)
	must.Eq(t, []string{"isolate", "pack"}, []string{string(got.SMT), string(got.Layout)})
}

func TestPlan_saysWhereWhatRunsIsNotKnown(t *testing.T) {
	sysfs, none := twoSockets.Sysfs(t), filepath.Join(t.TempDir(), "none")
	r := call(t, "plan", "-ncpu", "8", "-state-dir", none, "-sysfs", sysfs)
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.errout, "none is not there")
	t.Setenv(statedir.Env, none)
	r = call(t, "plan", "-ncpu", "1")
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.errout, "none is not there")
	must.Len(t, 8, planOf(t, exitOK, "-ncpu", "8", "-sysfs", sysfs).Cores) // nothing of this node

	// A folder that nobody has named, and where no plugin has been.
	must.NoError(t, os.Unsetenv(statedir.Env))
	empty := filepath.Join(t.TempDir(), "empty")
	must.NoError(t, os.Mkdir(empty, 0o700))
	told := filepath.Join(t.TempDir(), "status")
	d, err := public.Open(told)
	must.NoError(t, err)
	must.NoError(t, d.Write(public.Node{StateDir: empty}, nil))
	must.NoError(t, d.Close())
	t.Setenv(statedir.StatusEnv, told)
	got := planOf(t, exitOK, "-ncpu", "1")
	must.StrContains(t, *got.NotConsidered, empty+" is no state_dir")
	must.StrContains(t, call(t, "plan", "-ncpu", "1").out, "What runs is not taken into account: ")
}

// An ordinary user knows of the tasks of others which cores they take.
func TestPlan_ofAUserKnowsWhatThePluginTells(t *testing.T) {
	n := newTold(t)
	n.write(t)
	t.Setenv("COLUMNS", "200")
	must.NoError(t, creds.User{UID: dora, GID: dora}.Do(func() error {
		r := call(t, "plan", "-ncpu", "5", "-state-dir", n.stateDir, "-status-dir", n.statusDir, "-sysfs", n.sysfs)
		must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
		must.StrContains(t, r.out, "The job gets cores 2-3,5-7")
		must.StrContains(t, r.out, "Taken into account: A crash/solve on 0-1; 1 task of other users on 4.\n")
		// Where the plugin told its state_dir, and nothing of tasks can be read.
		r = call(t, "plan", "-ncpu", "5", "-state-dir", n.stateDir, "-sysfs", n.sysfs)
		must.Eq(t, exitNo, r.code)
		must.StrContains(t, r.errout, "is for root only")
		return nil
	}))
}

func TestTopology_drawsAMachine(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	r := call(t, "topology", "-sysfs", topologytest.Machine{Shape: topologytest.Of(1, 1, 1, 4, 2), Efficiency: 4, Offline: "12,13"}.Sysfs(t))
	must.Eq(t, exitOK, r.code)
	must.Eq(t, strings.TrimPrefix(`
1 socket, 1 NUMA node, 8 cores, 12 CPUs, hyper-threading

Socket 0, NUMA node 0   8 cores
  fast cpu 0-3    o o o o
  fast cpu 4-7    . . . .
  slow cpu 8-11   e e e e
Offline
  cpu 12-13 (2 CPUs)
o core   . second thread of the core above   e efficiency core
`, "\n"), r.out)
}

func TestTopology_jsonHasEveryCPU(t *testing.T) {
	r := call(t, "topology", "-json", "-sysfs", topologytest.Machine{Shape: topologytest.Of(2, 1, 1, 2, 2), Offline: "8"}.Sysfs(t))
	must.Eq(t, exitOK, r.code)
	var got struct {
		Packages       int  `json:"packages"`
		NUMANodes      int  `json:"numa_nodes"`
		PhysicalCores  int  `json:"physical_cores"`
		LogicalCores   int  `json:"logical_cores"`
		HyperThreading bool `json:"hyper_threading_enabled"`
		CPUs           []map[string]any
	}
	must.NoError(t, json.Unmarshal([]byte(r.out), &got))
	must.Eq(t, []int{2, 2, 4, 8}, []int{got.Packages, got.NUMANodes, got.PhysicalCores, got.LogicalCores})
	must.True(t, got.HyperThreading)
	must.Len(t, 9, got.CPUs)
	fifth := got.CPUs[6]
	must.Eq(t, []any{6.0, true, 1.0, 1.0, 2.0, 1.0, "performance"},
		[]any{fifth["index"], fifth["online"], fifth["package"], fifth["numa_node"], fifth["core"], fifth["l3"], fifth["kind"]})
	must.Eq(t, []any{2.0, 6.0}, fifth["siblings"].([]any))
	must.Eq(t, any(nil), got.CPUs[8]["core"])
}

func TestTopology_saysWhereThereIsNoMachine(t *testing.T) {
	r := call(t, "topology", "-sysfs", t.TempDir())
	must.Eq(t, exitNo, r.code)
	must.Eq(t, "", r.out)
	must.StrContains(t, r.errout, "a copy of /sys?")
}
