// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
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
Why: `, "\n")+lease.Reason+"\n", r.out)
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
			must.Eq(t, planReport{lease.CPUs.Slice(), lease.NUMANodes, lease.Reason, lease.Held.Difference(lease.CPUs).Slice()}, got)
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
  "idle_siblings": []
}
`, r.out)
	r = call(t, "plan", "-ncpu", "4", "-busy", "0-4", "-sysfs", sysfs)
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.out, "No: not enough free cores: 4 cores asked, 3 free\n")
	must.StrContains(t, r.out, `With smt = "share"`)
	must.StrNotContains(t, call(t, "plan", "-ncpu", "17", "-smt", "share", "-sysfs", sysfs).out, "With smt")
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
