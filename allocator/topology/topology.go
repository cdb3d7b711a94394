// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package topology

import (
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// Kind says which of a hybrid machine's core types a core is.
type Kind uint8

const (
	// Performance is every core of a machine with one kind of core, and the
	// fast ones of a hybrid machine.
	Performance Kind = iota
	// Efficiency is a hybrid machine's slow core.
	Efficiency
)

// String returns "performance" or "efficiency".
func (k Kind) String() string {
	if k == Efficiency {
		return "efficiency"
	}
	return "performance"
}

// None stands for a package, die, node, core or cache that a CPU does not have
// or that the kernel does not tell.
const None = -1

// CPU is one logical CPU. An offline CPU has no place: all but Index are None,
// empty or zero.
type CPU struct {
	Index    int        // the kernel's CPU number
	Online   bool       //
	Package  int        // physical_package_id; 0 where the kernel does not know
	Die      int        // die_id within the package; None where the kernel does not tell
	NUMANode int        // the kernel's node number
	Core     int        // physical core, counted from 0 over the whole machine
	L3       int        // L3 cache, counted from 0 over the whole machine; None without one
	Siblings cpuset.Set // online hardware threads of the core, this one included
	Kind     Kind       //
	L3ID     int        // cache id as the kernel numbers it; None where it does not
}

// NUMANode is one node of the machine's memory.
type NUMANode struct {
	ID   int        // the kernel's node number; numbers may have gaps
	CPUs cpuset.Set // online CPUs; empty for a node of memory only
	// Distances to the nodes of Topology.Nodes, in their order; 10 is local.
	// Nil where the kernel does not tell.
	Distances []int
}

// Topology is the machine at one moment. It is not changed after Discover and
// may be shared between goroutines.
type Topology struct {
	CPUs     []CPU      // ascending by Index, offline ones included
	Nodes    []NUMANode // ascending by ID
	Online   cpuset.Set
	Isolated cpuset.Set // isolcpus=: the scheduler does not balance load over them
	NoHzFull cpuset.Set // nohz_full=: no timer tick while one thread runs

	at       []int // position in CPUs by CPU index, None where there is none
	cores    []cpuset.Set
	l3s      []cpuset.Set
	packages map[int]cpuset.Set
}

// New returns the topology of a machine with these CPUs and nodes, both ascending.
// An online CPU has a package, a node and a core; cores and L3 caches are numbered
// without gaps.
func New(cpus []CPU, nodes []NUMANode) *Topology {
	t := &Topology{CPUs: cpus, Nodes: nodes, packages: map[int]cpuset.Set{}}
	cores, l3s, last := 0, 0, None
	for _, cpu := range cpus {
		cores, l3s, last = max(cores, cpu.Core+1), max(l3s, cpu.L3+1), max(last, cpu.Index)
	}
	t.cores, t.l3s = make([]cpuset.Set, cores), make([]cpuset.Set, l3s)
	t.at = slices.Repeat([]int{None}, last+1)
	for i, cpu := range cpus {
		t.at[cpu.Index] = i
		if !cpu.Online {
			continue
		}
		self := cpuset.Of(cpu.Index)
		t.Online = t.Online.Union(self)
		t.packages[cpu.Package] = t.packages[cpu.Package].Union(self)
		t.cores[cpu.Core] = t.cores[cpu.Core].Union(self)
		if cpu.L3 != None {
			t.l3s[cpu.L3] = t.l3s[cpu.L3].Union(self)
		}
	}
	return t
}

// eachOf calls f for every known CPU of the set.
func (t *Topology) eachOf(set cpuset.Set, f func(*CPU)) {
	for i := range t.CPUs {
		if set.Contains(t.CPUs[i].Index) {
			f(&t.CPUs[i])
		}
	}
}

// CPU returns the CPU with the given index.
func (t *Topology) CPU(index int) (CPU, bool) {
	if index < 0 || index >= len(t.at) || t.at[index] == None {
		return CPU{}, false
	}
	return t.CPUs[t.at[index]], true
}

// Packages returns the number of packages with an online CPU.
func (t *Topology) Packages() int { return len(t.packages) }

// PhysicalCores returns the number of cores with an online CPU.
func (t *Topology) PhysicalCores() int { return len(t.cores) }

// LogicalCores returns the number of online CPUs.
func (t *Topology) LogicalCores() int { return t.Online.Len() }

// HyperThreading reports whether any core has more than one online CPU.
func (t *Topology) HyperThreading() bool { return t.LogicalCores() > t.PhysicalCores() }

// Hybrid reports whether the machine has efficiency cores beside performance cores.
func (t *Topology) Hybrid() bool {
	return slices.ContainsFunc(t.CPUs, func(c CPU) bool { return c.Online && c.Kind == Efficiency })
}

// CoreSets returns the online CPUs of every physical core, by core number.
func (t *Topology) CoreSets() []cpuset.Set { return slices.Clone(t.cores) }

// L3Sets returns the online CPUs of every L3 cache, by L3 number.
func (t *Topology) L3Sets() []cpuset.Set { return slices.Clone(t.l3s) }

// PackageSet returns the online CPUs of a package.
func (t *Topology) PackageSet(id int) cpuset.Set { return t.packages[id] }

// PackageIDs returns the packages' numbers, ascending.
func (t *Topology) PackageIDs() []int {
	ids := make([]int, 0, len(t.packages))
	for id := range t.packages {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Manageable returns which of some CPUs an allocator should give out: those that
// the operator named, or all where none is named, but then not the isolated ones.
// An operator who takes CPUs away from the scheduler (isolcpus=) has a use for
// them already: they must be named to be given out, unless there are no others.
func (t *Topology) Manageable(among, named cpuset.Set) cpuset.Set {
	among = among.Intersect(t.Online)
	if !named.IsEmpty() {
		return among.Intersect(named)
	}
	if rest := among.Difference(t.Isolated); !rest.IsEmpty() {
		return rest
	}
	return among
}

// CoresOf returns the CPUs given and all their online siblings: whole cores.
func (t *Topology) CoresOf(cpus cpuset.Set) cpuset.Set {
	whole := cpus
	for index := range cpus.All() {
		if cpu, ok := t.CPU(index); ok {
			whole = whole.Union(cpu.Siblings)
		}
	}
	return whole
}

// NodesOf returns the numbers of the NUMA nodes the CPUs belong to, ascending,
// never nil. They are what a task's memory should be bound to (cpuset.mems).
func (t *Topology) NodesOf(cpus cpuset.Set) []int {
	nodes := []int{}
	for index := range cpus.All() {
		cpu, ok := t.CPU(index)
		if ok && cpu.Online && cpu.NUMANode != None && !slices.Contains(nodes, cpu.NUMANode) {
			nodes = append(nodes, cpu.NUMANode)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// Distance returns the kernel's relative cost of memory access between two
// nodes: 10 is local. Unknown distances are 10 within a node and 20 between two.
func (t *Topology) Distance(from, to int) int {
	if from == to {
		return localDistance
	}
	for _, node := range t.Nodes {
		if node.ID != from {
			continue
		}
		for i, d := range node.Distances {
			if t.Nodes[i].ID == to {
				return d
			}
		}
	}
	return remoteDistance
}

// The kernel's LOCAL_DISTANCE and REMOTE_DISTANCE (include/linux/topology.h),
// which it uses itself where firmware has no SLIT table.
const (
	localDistance  = 10
	remoteDistance = 20
)
