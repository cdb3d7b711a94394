// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package topology_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
)

// tree is a sysfs tree: contents by path below the root.
type tree map[string]string

func (tr tree) with(more tree) tree {
	all := maps.Clone(tr)
	maps.Copy(all, more)
	return all
}

func (tr tree) without(suffixes ...string) tree {
	all := maps.Clone(tr)
	for path := range all {
		for _, suffix := range suffixes {
			if strings.HasSuffix(path, suffix) {
				delete(all, path)
			}
		}
	}
	return all
}

// write puts the tree under a new root.
func (tr tree) write(t testing.TB) string {
	root := t.TempDir()
	for path, text := range tr {
		path = filepath.Join(root, path)
		must.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return root
}

func (tr tree) discover(t testing.TB) (*topology.Topology, []string) {
	topo, warnings, err := topology.Discover(tr.write(t))
	must.NoError(t, err)
	checkConsistent(t, topo)
	return topo, warnings
}

const (
	cpuRoot  = "devices/system/cpu/"
	nodeRoot = "devices/system/node/"
)

// twoSockets is a whole tree: 2 packages, 2 nodes (0 and 3), 2 caches, 4 cores,
// 2 threads each: CPUs 0-3, siblings 4-7.
func twoSockets() tree {
	tr := tree{
		cpuRoot + "online": "0-7\n", cpuRoot + "isolated": "3\n", cpuRoot + "nohz_full": "(null)\n",
		nodeRoot + "online":        "0,3\n",
		nodeRoot + "node0/cpulist": "0-1,4-5\n", nodeRoot + "node0/distance": "10 21\n",
		nodeRoot + "node3/cpulist": "2-3,6-7\n", nodeRoot + "node3/distance": "21 10\n",
	}
	for cpu := range 8 {
		pkg := cpu % 4 / 2
		dir := fmt.Sprintf("%scpu%d/", cpuRoot, cpu)
		cache := []string{"0-1,4-5", "2-3,6-7"}[pkg]
		maps.Copy(tr, tree{
			dir + "topology/physical_package_id":  fmt.Sprintln(pkg),
			dir + "topology/die_id":               "0\n",
			dir + "topology/core_id":              fmt.Sprintln(cpu % 2),
			dir + "topology/thread_siblings_list": fmt.Sprintf("%d,%d\n", cpu%4, cpu%4+4),
			dir + "topology/thread_siblings":      fmt.Sprintf("%x\n", 0x11<<(cpu%4)),
			dir + "cache/index0/level":            "1\n",
			dir + "cache/index0/shared_cpu_list":  fmt.Sprintln(cpu),
			dir + "cache/index3/level":            "3\n",
			dir + "cache/index3/id":               fmt.Sprintln(pkg),
			dir + "cache/index3/shared_cpu_list":  cache + "\n",
		})
	}
	return tr
}

func TestDiscover_readsAWholeTree(t *testing.T) {
	topo, warnings := twoSockets().discover(t)
	must.SliceEmpty(t, warnings)
	must.Eq(t, 2, topo.Packages())
	must.Eq(t, 4, topo.PhysicalCores())
	must.Eq(t, 8, topo.LogicalCores())
	must.True(t, topo.HyperThreading())
	must.False(t, topo.Hybrid())
	must.Eq(t, []string{"0,4", "1,5", "2,6", "3,7"}, texts(topo.CoreSets()))
	must.Eq(t, []string{"0-1,4-5", "2-3,6-7"}, texts(topo.L3Sets()))
	must.Eq(t, []int{0, 3}, topo.NodesOf(cpuset.Of(1, 2)))
	must.Eq(t, 21, topo.Distance(0, 3))
	must.Eq(t, 10, topo.Distance(3, 3))
	must.Eq(t, "3", topo.Isolated.String())
	must.True(t, topo.NoHzFull.IsEmpty())
	cpu, ok := topo.CPU(6)
	must.True(t, ok)
	must.Eq(t, 1, cpu.Package)
	must.Eq(t, 3, cpu.NUMANode)
	must.Eq(t, 2, cpu.Core)
	must.Eq(t, 1, cpu.L3)
	_, ok = topo.CPU(8)
	must.False(t, ok)
}

// TestDiscover_degrades: what one file does not tell, others do, or a warning.
func TestDiscover_degrades(t *testing.T) {
	whole := twoSockets()
	for _, tc := range []struct {
		name    string
		tree    tree
		cores   []string
		l3s     []string
		nodes   []string
		pkgs    int
		warning string // "" where nothing is lost
	}{
		{name: "masks where there are no lists", tree: whole.without("thread_siblings_list")},
		{name: "no list of online CPUs", tree: whole.without("cpu/online"), warning: "asking each CPU"},
		{name: "no siblings: core_id", tree: whole.without("thread_siblings_list", "thread_siblings"), warning: "core_id"},
		{
			name: "no siblings and no core_id", tree: whole.without("thread_siblings_list", "thread_siblings", "core_id"),
			cores: []string{"0", "1", "2", "3", "4", "5", "6", "7"}, warning: "cores of one thread",
		},
		{name: "no node tree", tree: whole.without("cpulist", "distance", "node/online"), nodes: []string{"0-7"}, warning: "taken for one node"},
		{name: "no distances", tree: whole.without("distance"), warning: "distances"},
		{name: "distances cut off", tree: whole.with(tree{nodeRoot + "node3/distance": "21"}), warning: "not 2 distances"},
		{name: "no caches", tree: whole.without("level"), l3s: []string{}},
		{name: "a package that the kernel does not know", tree: whole.with(tree{cpuRoot + "cpu0/topology/physical_package_id": "-1"}), warning: "package"},
		{name: "NULs after the text", tree: whole.with(tree{cpuRoot + "online": "0-7\n\x00\x00\x00"})},
		{name: "NULs only", tree: whole.with(tree{cpuRoot + "online": "\x00\x00"}), warning: "asking each CPU"},
		{name: "online list of nonsense", tree: whole.with(tree{cpuRoot + "online": "0-"}), warning: "asking each CPU"},
		{
			name: "a CPU offline", tree: whole.with(tree{cpuRoot + "online": "0-4,6-7"}),
			cores: []string{"0,4", "1", "2,6", "3,7"}, l3s: []string{"0-1,4", "2-3,6-7"}, nodes: []string{"0-1,4", "2-3,6-7"},
		},
		{
			name: "a CPU offline, known from its own file", tree: whole.without("cpu/online").with(tree{cpuRoot + "cpu5/online": "0\n"}),
			cores: []string{"0,4", "1", "2,6", "3,7"}, l3s: []string{"0-1,4", "2-3,6-7"}, nodes: []string{"0-1,4", "2-3,6-7"}, warning: "asking",
		},
		{name: "online CPUs without a directory", tree: whole.with(tree{cpuRoot + "online": "0-9"}), warning: "8-9 are online"},
		{name: "siblings that contradict each other", tree: whole.with(tree{cpuRoot + "cpu1/topology/thread_siblings_list": "1,4-5"}), warning: "do not agree"},
		{
			name: "two nodes claim a CPU", tree: whole.with(tree{nodeRoot + "node3/cpulist": "1-3,6-7"}),
			nodes: []string{"0-1,4-5", "1-3,6-7"}, warning: "more than one NUMA node",
		},
		{name: "a CPU of no node", tree: whole.with(tree{nodeRoot + "node3/cpulist": "2,6-7"}), warning: "no NUMA node"},
		{name: "a node of memory only", tree: whole.with(tree{
			nodeRoot + "node9/cpulist": "\n", nodeRoot + "node9/distance": "30 30 10",
			nodeRoot + "node0/distance": "10 21 30", nodeRoot + "node3/distance": "21 10 30",
		}), nodes: []string{"", "0-1,4-5", "2-3,6-7"}},
		{name: "a number that is none", tree: whole.with(tree{cpuRoot + "cpu0/topology/die_id": "zero"}), warning: "not a number"},
		{name: "other directories beside the CPUs", tree: whole.with(tree{
			cpuRoot + "cpufreq/x": "", cpuRoot + "cpu01/x": "", cpuRoot + "cpu-1/x": "",
			cpuRoot + "cpu9999999999/x": "",
		})},
		{name: "more CPUs than there is room for", tree: whole.with(tree{cpuRoot + "cpu5000/topology/core_id": "0"}), warning: "at most 2048"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			topo, warnings := tc.tree.discover(t)
			want := func(list []string, otherwise ...string) []string {
				if list == nil {
					return otherwise
				}
				return list
			}
			must.Eq(t, want(tc.cores, "0,4", "1,5", "2,6", "3,7"), texts(topo.CoreSets()))
			must.Eq(t, want(tc.l3s, "0-1,4-5", "2-3,6-7"), texts(topo.L3Sets()))
			var nodes []cpuset.Set
			for _, node := range topo.Nodes {
				nodes = append(nodes, node.CPUs)
			}
			must.Eq(t, want(tc.nodes, "0-1,4-5", "2-3,6-7"), texts(nodes))
			must.Eq(t, 2, topo.Packages())
			if tc.warning == "" {
				must.SliceEmpty(t, warnings)
			} else {
				must.StrContains(t, strings.Join(warnings, "\n"), tc.warning)
			}
		})
	}
}

// TestDiscover_tellsKindsOfCores from any of three sources.
func TestDiscover_tellsKindsOfCores(t *testing.T) {
	each := func(file string, values ...string) tree {
		tr := tree{}
		for cpu := range 8 {
			tr[fmt.Sprintf("%scpu%d/%s", cpuRoot, cpu, file)] = values[cpu%len(values)]
		}
		return tr
	}
	for _, tc := range []struct {
		name string
		more tree
		slow string
	}{
		{"nothing known", tree{}, ""},
		{"Intel's PMU lists", tree{"devices/cpu_core/cpus": "0-1,4-5\n", "devices/cpu_atom/cpus": "2-3,6-7\n"}, "2-3,6-7"},
		{"a list of atoms without one of cores", tree{"devices/cpu_atom/cpus": "0-7\n"}, ""},
		{"capacities", each("cpu_capacity", "1024", "1024", "1024", "446"), "3,7"},
		{"three steps of capacity: the widest gap", each("cpu_capacity", "1024", "870", "300", "300"), "2-3,6-7"},
		{"equal capacities", each("cpu_capacity", "1024"), ""},
		{"frequencies", each("cpufreq/cpuinfo_max_freq", "5200000", "5000000", "3900000", "3900000"), "2-3,6-7"},
		{"favoured cores of one kind", each("cpufreq/cpuinfo_max_freq", "5200000", "5000000", "4800000", "4700000"), ""},
		{"a frequency missing", each("cpufreq/cpuinfo_max_freq", "5200000", "5000000", "3900000", "nonsense"), ""},
		{"PMU lists before frequencies", each("cpufreq/cpuinfo_max_freq", "5200000", "3900000").with(
			tree{"devices/cpu_core/cpus": "0-2,4-6", "devices/cpu_atom/cpus": "3,7"}), "3,7"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			topo, _ := twoSockets().with(tc.more).discover(t)
			var slow cpuset.Set
			for _, cpu := range topo.CPUs {
				if cpu.Kind == topology.Efficiency {
					slow.Add(cpu.Index)
				}
			}
			must.Eq(t, tc.slow, slow.String())
			must.Eq(t, tc.slow != "", topo.Hybrid())
		})
	}
}

func TestDiscover_failsWithoutCPUs(t *testing.T) {
	for _, root := range []string{t.TempDir(), "/nonexistent", tree{cpuRoot + "online": "0-3"}.write(t)} {
		_, _, err := topology.Discover(root)
		must.ErrorContains(t, err, "is "+root+" a copy of /sys?")
	}
}

func TestDiscover_doesNotHangOnAPipe(t *testing.T) {
	root := twoSockets().without("isolated").write(t)
	must.NoError(t, syscall.Mkfifo(filepath.Join(root, cpuRoot, "isolated"), 0o600))
	_, _, err := topology.Discover(root)
	must.NoError(t, err)
}

func TestDiscover_thisMachine(t *testing.T) {
	topo, warnings, err := topology.Discover("")
	must.NoError(t, err)
	t.Log(warnings)
	checkConsistent(t, topo)
	must.Positive(t, topo.LogicalCores())
}

func TestTopologyJSON_isTheCommandsFormat(t *testing.T) {
	topo, _ := twoSockets().with(tree{cpuRoot + "online": "0-6"}).discover(t)
	data, err := json.Marshal(topo)
	must.NoError(t, err)
	var got struct {
		Packages, Numa_nodes, Physical_cores, Logical_cores int
		Hyper_threading_enabled                             bool
		CPUs                                                []map[string]any
	}
	must.NoError(t, json.Unmarshal(data, &got))
	must.Eq(t, []int{2, 2, 4, 7}, []int{got.Packages, got.Numa_nodes, got.Physical_cores, got.Logical_cores})
	must.True(t, got.Hyper_threading_enabled)
	must.Eq(t, map[string]any{
		"index": 6.0, "online": true, "package": 1.0, "die": 0.0, "numa_node": 3.0, "core": 2.0, "l3": 1.0,
		"siblings": []any{2.0, 6.0}, "kind": "performance",
	}, got.CPUs[6])
	must.Eq(t, map[string]any{
		"index": 7.0, "online": false, "package": nil, "die": nil, "numa_node": nil, "core": nil, "l3": nil,
		"siblings": []any{}, "kind": nil,
	}, got.CPUs[7])
}

// FuzzDiscover puts any bytes into any of the files: no panic, and a topology
// whose parts are disjoint.
func FuzzDiscover(f *testing.F) {
	paths := []string{
		cpuRoot + "online", cpuRoot + "isolated", cpuRoot + "cpu1/topology/physical_package_id", cpuRoot + "cpu1/topology/core_id",
		cpuRoot + "cpu1/topology/thread_siblings_list", cpuRoot + "cpu2/topology/thread_siblings", cpuRoot + "cpu3/cache/index3/shared_cpu_list",
		cpuRoot + "cpu3/cache/index3/level", cpuRoot + "cpu3/cache/index3/id", nodeRoot + "node0/cpulist", nodeRoot + "node3/cpulist",
		nodeRoot + "node3/distance", cpuRoot + "cpu2/cpu_capacity", "devices/cpu_core/cpus", "devices/cpu_atom/cpus", cpuRoot + "cpu4/online",
	}
	root := twoSockets().without("thread_siblings_list").write(f)
	for i, text := range []string{"0-7", "\x00", "-1", "99999999999", "0-2047", "ff,ffffffff", "1,,2", "10 10 10", "3", "a"} {
		f.Add(byte(i), text, byte(i+1), text+"\n")
	}
	f.Fuzz(func(t *testing.T, which byte, text string, which2 byte, text2 string) {
		for path, content := range map[string]string{paths[int(which)%len(paths)]: text, paths[int(which2)%len(paths)]: text2} {
			path = filepath.Join(root, path)
			was, err := os.ReadFile(path)
			must.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must.NoError(t, os.WriteFile(path, []byte(content), 0o644))
			defer func() {
				if err != nil {
					_ = os.Remove(path)
				} else {
					_ = os.WriteFile(path, was, 0o644)
				}
			}()
		}
		topo, _, err := topology.Discover(root)
		if err != nil {
			return
		}
		checkConsistent(t, topo)
		a := allocator.New(topo, topo.Online, allocator.Options{})
		if n := a.Available(); n > 0 {
			lease, err := a.Allocate("job", n)
			must.NoError(t, err)
			must.Eq(t, n, lease.CPUs.Len())
		}
	})
}
