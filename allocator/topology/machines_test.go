// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package topology_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
)

// expectedMachine is one entry of the collection's expected.json.
type expectedMachine struct {
	Online        string            `json:"online"`
	Packages      int               `json:"packages"`
	NUMANodes     int               `json:"numa_nodes"`
	PhysicalCores int               `json:"physical_cores"`
	LogicalCores  int               `json:"logical_cores"`
	CoreSets      []string          `json:"core_sets"`
	PackageSets   []string          `json:"package_sets"`
	L3Sets        []string          `json:"l3_sets"`
	NUMASets      map[string]string `json:"numa_sets"`
	L3            *int              `json:"l3"`
	LstopoAgrees  bool              `json:"lstopo_agrees"`
}

// sharedMachines unpacks the collection of captured machines, which is not part
// of the project: tests that use it are skipped where it is missing. It is one
// hundred thousand small files; -short leaves most of them out.
func sharedMachines(t testing.TB) (dir string, expected map[string]expectedMachine) {
	shared, err := filepath.Abs("../../../shared/topologies")
	must.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(shared, "expected.json"))
	if err != nil {
		t.Skipf("no captured machines: %v", err)
	}
	must.NoError(t, json.Unmarshal(data, &expected))
	dir = t.TempDir()
	args := []string{"-xJf", filepath.Join(shared, "trees.tar.xz"), "-C", dir}
	if testing.Short() { // the largest are most of the files
		args = append(args, "--exclude=made-shape-512", "--exclude=made-shape-1024")
	}
	out, err := exec.Command("tar", args...).CombinedOutput()
	if err != nil {
		t.Skipf("cannot unpack the captured machines: %v: %s", err, out)
	}
	return dir, expected
}

func TestDiscover_readsCapturedMachines(t *testing.T) {
	dir, expected := sharedMachines(t)
	entries, err := os.ReadDir(dir)
	must.NoError(t, err)
	for _, entry := range entries {
		t.Run(entry.Name(), func(t *testing.T) {
			topo, warnings, err := topology.Discover(filepath.Join(dir, entry.Name()))
			must.NoError(t, err)
			for _, warning := range warnings {
				t.Log(warning)
			}
			checkConsistent(t, topo)
			checkPlacement(t, topo)
			if want, ok := expected[entry.Name()]; ok {
				checkMachine(t, want, topo)
			}
		})
	}
	for name := range expected {
		must.DirExists(t, filepath.Join(dir, name))
	}
}

func checkMachine(t *testing.T, want expectedMachine, topo *topology.Topology) {
	t.Helper()
	must.Eq(t, want.Packages, topo.Packages(), must.Sprint("packages"))
	must.Eq(t, max(want.NUMANodes, 1), len(topo.Nodes), must.Sprint("NUMA nodes"))
	must.Eq(t, want.PhysicalCores, topo.PhysicalCores(), must.Sprint("cores"))
	must.Eq(t, want.LogicalCores, topo.LogicalCores(), must.Sprint("CPUs"))
	must.Eq(t, want.LogicalCores > want.PhysicalCores, topo.HyperThreading())
	if want.L3 != nil {
		must.Eq(t, *want.L3, len(topo.L3Sets()), must.Sprint("L3 caches"))
	}
	if want.CoreSets == nil {
		return // made machines are given by their counts
	}
	must.Eq(t, want.Online, topo.Online.String())
	must.Eq(t, sorted(want.CoreSets), texts(topo.CoreSets()), must.Sprint("core sets"))
	must.Eq(t, sorted(want.L3Sets), texts(topo.L3Sets()), must.Sprint("L3 sets"))
	nodes := map[int]string{}
	for _, node := range topo.Nodes {
		nodes[node.ID] = node.CPUs.String()
	}
	for id, cpus := range want.NUMASets {
		var n int
		must.NoError(t, json.Unmarshal([]byte(id), &n))
		must.Eq(t, cpus, nodes[n], must.Sprintf("node %s", id))
	}
	var packages []cpuset.Set
	for _, id := range topo.PackageIDs() {
		packages = append(packages, topo.PackageSet(id))
	}
	if want.LstopoAgrees { // s390 knows no packages: only their number is meant
		must.Eq(t, sorted(want.PackageSets), texts(packages), must.Sprint("package sets"))
	}
}

// checkPlacement gives all cores of a machine out, in two jobs.
func checkPlacement(t *testing.T, topo *topology.Topology) {
	t.Helper()
	for _, opts := range []allocator.Options{{}, {SMT: allocator.SMTShare}, {Layout: allocator.LayoutScatter}} {
		a := allocator.New(topo, topo.Online, opts)
		n := a.Available()
		want := topo.PhysicalCores()
		if opts.SMT == allocator.SMTShare {
			want = topo.LogicalCores()
		}
		must.Eq(t, want, n)
		first, err := a.Allocate("first", (n+1)/2)
		must.NoError(t, err)
		must.Eq(t, (n+1)/2, first.CPUs.Len())
		t.Log(allocator.Describe(first), first.Reason)
		if n > 1 {
			second, err := a.Allocate("second", n/2)
			must.NoError(t, err)
			must.False(t, first.Held.Overlaps(second.Held))
		}
		must.Eq(t, 0, a.Available())
	}
}

// checkConsistent holds for every topology, whatever the tree was: cores,
// caches and packages are disjoint and made of online CPUs.
func checkConsistent(t testing.TB, topo *topology.Topology) {
	t.Helper()
	disjoint := func(what string, sets []cpuset.Set, whole bool) {
		var seen cpuset.Set
		for _, set := range sets {
			must.False(t, set.Overlaps(seen), must.Sprintf("%s overlap at %s", what, set.Intersect(seen)))
			must.False(t, set.IsEmpty())
			seen = seen.Union(set)
		}
		must.True(t, seen.SubsetOf(topo.Online), must.Sprint(what))
		must.True(t, !whole || seen == topo.Online, must.Sprint(what))
	}
	disjoint("cores", topo.CoreSets(), true)
	disjoint("L3 caches", topo.L3Sets(), false)
	var packages []cpuset.Set
	for _, id := range topo.PackageIDs() {
		packages = append(packages, topo.PackageSet(id))
	}
	disjoint("packages", packages, true)
	must.Eq(t, topo.Online.Slice(), topo.Online.Intersect(topo.CoresOf(topo.Online)).Slice())
	for _, cpu := range topo.CPUs {
		if cpu.Online {
			must.Eq(t, topo.CoreSets()[cpu.Core], cpu.Siblings)
			must.True(t, cpu.Siblings.Contains(cpu.Index))
			must.NotEq(t, topology.None, cpu.NUMANode)
		}
	}
	_, err := json.Marshal(topo)
	must.NoError(t, err)
}

func texts(sets []cpuset.Set) []string {
	list := []string{}
	for _, set := range sets {
		list = append(list, set.String())
	}
	return sorted(list)
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}
