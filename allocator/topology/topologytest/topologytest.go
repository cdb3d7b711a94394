// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package topologytest makes topologies for tests of what builds on package
// topology.
package topologytest

import (
	"math/rand"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
)

// Shape describes a machine; every level divides the one above.
type Shape struct {
	Packages, Nodes, L3s, Cores, Threads int // per machine, package, node, L3 cache, core
}

// Of returns a shape: packages of a machine, nodes of a package, L3 caches of a
// node, cores of a cache, threads of a core.
func Of(packages, nodes, l3s, cores, threads int) Shape {
	return Shape{packages, nodes, l3s, cores, threads}
}

// Topology makes the machine. CPUs are numbered as x86 firmware does: the first
// threads of all cores, then the second ones.
func (s Shape) Topology() *topology.Topology { return s.Renumbered(nil) }

// Renumbered makes the machine with the CPU that would be number i called
// names[i]; nil leaves the numbers.
func (s Shape) Renumbered(names []int) *topology.Topology {
	perNode := s.L3s * s.Cores
	total := s.Packages * s.Nodes * perNode
	cpus, nodes := make([]topology.CPU, total*s.Threads), make([]topology.NUMANode, s.Packages*s.Nodes)
	name := func(i int) int {
		if names == nil {
			return i
		}
		return names[i]
	}
	for core := range total {
		var siblings cpuset.Set
		for thread := range s.Threads {
			siblings.Add(name(thread*total + core))
		}
		node := core / perNode
		nodes[node].ID = node
		for index := range siblings.All() {
			cpus[index] = topology.CPU{
				Index: index, Online: true, Package: node / s.Nodes, Die: topology.None, NUMANode: node,
				Core: core, L3: core / s.Cores, L3ID: core / s.Cores, Siblings: siblings,
			}
			nodes[node].CPUs.Add(index)
		}
	}
	return topology.New(cpus, nodes)
}

// Only returns a copy of the topology with just these CPUs online.
func Only(t *topology.Topology, online cpuset.Set) *topology.Topology {
	online = online.Intersect(t.Online)
	cores, l3s := map[int]int{}, map[int]int{}
	cpus, nodes := slices.Clone(t.CPUs), slices.Clone(t.Nodes)
	for i := range cpus {
		cpu := &cpus[i]
		if !online.Contains(cpu.Index) {
			*cpu = topology.CPU{
				Index: cpu.Index, Package: topology.None, Die: topology.None, NUMANode: topology.None,
				Core: topology.None, L3: topology.None, L3ID: topology.None,
			}
			continue
		}
		cpu.Core, cpu.Siblings = renumber(cores, cpu.Core), cpu.Siblings.Intersect(online)
		if cpu.L3 != topology.None {
			cpu.L3 = renumber(l3s, cpu.L3)
		}
	}
	for i := range nodes {
		nodes[i].CPUs = nodes[i].CPUs.Intersect(online)
	}
	only := topology.New(cpus, nodes)
	only.Isolated, only.NoHzFull = t.Isolated, t.NoHzFull
	return only
}

// renumber gives names the numbers 0, 1, 2 … in the order they are first seen.
func renumber(known map[int]int, name int) int {
	if _, ok := known[name]; !ok {
		known[name] = len(known)
	}
	return known[name]
}

// Relabel changes which nodes and caches the cores of a machine belong to, for
// machines whose levels do not nest in the usual order.
func Relabel(t *topology.Topology, change func(*topology.CPU)) *topology.Topology {
	cpus := slices.Clone(t.CPUs)
	members := map[int]cpuset.Set{}
	for i := range cpus {
		change(&cpus[i])
		members[cpus[i].NUMANode] = members[cpus[i].NUMANode].Union(cpuset.Of(cpus[i].Index))
	}
	var nodes []topology.NUMANode
	for id := range cpuset.MaxCPUs {
		if set, ok := members[id]; ok {
			nodes = append(nodes, topology.NUMANode{ID: id, CPUs: set})
		}
	}
	return topology.New(cpus, nodes)
}

// Random is a machine of any make: several levels, one to four threads, CPUs
// offline, two kinds of core.
func Random(r *rand.Rand) *topology.Topology {
	s := Shape{
		Packages: 1 + r.Intn(3), Nodes: 1 + r.Intn(3), L3s: 1 + r.Intn(3), Cores: 1 + r.Intn(4),
		Threads: []int{1, 2, 2, 4}[r.Intn(4)],
	}
	topo := s.Topology()
	if r.Intn(3) == 0 { // hybrid: some caches' cores are slow and have one thread
		online := topo.Online
		for i := range topo.CPUs {
			if cpu := &topo.CPUs[i]; cpu.L3%3 == 1 {
				cpu.Kind = topology.Efficiency
				if cpu.Siblings.First() != cpu.Index {
					online.Remove(cpu.Index)
				}
			}
		}
		topo = Only(topo, online)
	}
	if r.Intn(2) == 0 {
		topo = Only(topo, RandomPart(r, topo.Online, 5))
	}
	if r.Intn(4) == 0 {
		topo.Isolated = topo.CoresOf(RandomPart(r, topo.Online, 3))
	}
	if r.Intn(4) == 0 {
		topo.NoHzFull = topo.Online.Difference(RandomPart(r, topo.Online, 2))
	}
	return topo
}

// RandomPart leaves out one CPU of outOf on average, but not all of them.
func RandomPart(r *rand.Rand, cpus cpuset.Set, outOf int) cpuset.Set {
	part := cpus
	for index := range cpus.All() {
		if r.Intn(outOf) == 0 {
			part.Remove(index)
		}
	}
	if part.IsEmpty() {
		return cpus
	}
	return part
}
