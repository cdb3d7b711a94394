// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// shape describes a machine made for a test: every level divides the one above.
type shape struct {
	packages, nodes, l3s, cores, threads int // per machine, package, node, L3 cache, core
}

// topology makes the machine. CPUs are numbered as x86 firmware does: the first
// threads of all cores, then the second ones.
func (s shape) topology() *Topology {
	return s.renumbered(nil)
}

// renumbered makes the machine with the CPU that would be number i called
// names[i]; nil leaves the numbers.
func (s shape) renumbered(names []int) *Topology {
	perNode := s.l3s * s.cores
	total := s.packages * s.nodes * perNode
	t := &Topology{CPUs: make([]CPU, total*s.threads), Nodes: make([]NUMANode, s.packages*s.nodes)}
	name := func(i int) int {
		if names == nil {
			return i
		}
		return names[i]
	}
	for core := range total {
		var siblings cpuset.Set
		for thread := range s.threads {
			siblings.Add(name(thread*total + core))
		}
		node := core / perNode
		for index := range siblings.All() {
			t.CPUs[index] = CPU{
				Index: index, Online: true, Package: node / s.nodes, Die: None, NUMANode: node,
				Core: core, L3: core / s.cores, l3ID: core / s.cores, Siblings: siblings,
			}
			t.Online.Add(index)
			t.Nodes[node].ID = node
			t.Nodes[node].CPUs.Add(index)
		}
	}
	t.index()
	return t
}

// only returns a copy of the topology with just these CPUs online.
func (t *Topology) only(online cpuset.Set) *Topology {
	c := &Topology{Online: t.Online.Intersect(online), Isolated: t.Isolated, NoHzFull: t.NoHzFull}
	cores, l3s := numbering{}, numbering{}
	for _, cpu := range t.CPUs {
		if !online.Contains(cpu.Index) {
			cpu = CPU{Index: cpu.Index, Package: None, Die: None, NUMANode: None, Core: None, L3: None, l3ID: None}
		} else {
			cpu.Core, cpu.Siblings = cores.of(cpu.Core), cpu.Siblings.Intersect(online)
			if cpu.L3 != None {
				cpu.L3 = l3s.of(cpu.L3)
			}
		}
		c.CPUs = append(c.CPUs, cpu)
	}
	for _, node := range t.Nodes {
		c.Nodes = append(c.Nodes, NUMANode{ID: node.ID, CPUs: node.CPUs.Intersect(online), Distances: node.Distances})
	}
	c.index()
	return c
}
