// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"encoding/json"
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

	l3ID int // cache id as the kernel numbers it, None where it does not
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

// HyperThreading tells whether any core has more than one online CPU.
func (t *Topology) HyperThreading() bool { return t.LogicalCores() > t.PhysicalCores() }

// Hybrid tells whether the machine has efficiency cores beside performance cores.
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
// Who takes CPUs away from the scheduler (isolcpus=) has a use for them already,
// and must say where it is this one; or leave nothing else.
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

// MarshalJSON writes what the `topology` command prints. An offline CPU's place
// is null, as is the l3 of a CPU without one.
func (t *Topology) MarshalJSON() ([]byte, error) {
	type cpuJSON struct {
		Index    int     `json:"index"`
		Online   bool    `json:"online"`
		Package  *int    `json:"package"`
		Die      *int    `json:"die"`
		NUMANode *int    `json:"numa_node"`
		Core     *int    `json:"core"`
		L3       *int    `json:"l3"`
		Siblings []int   `json:"siblings"`
		Kind     *string `json:"kind"`
	}
	type nodeJSON struct {
		ID        int    `json:"id"`
		CPUs      string `json:"cpus"`
		Distances []int  `json:"distances,omitempty"`
	}
	out := struct {
		Packages       int        `json:"packages"`
		NUMANodes      int        `json:"numa_nodes"`
		PhysicalCores  int        `json:"physical_cores"`
		LogicalCores   int        `json:"logical_cores"`
		HyperThreading bool       `json:"hyper_threading_enabled"`
		Isolated       string     `json:"isolated"`
		NoHzFull       string     `json:"nohz_full"`
		Nodes          []nodeJSON `json:"nodes"`
		CPUs           []cpuJSON  `json:"cpus"`
	}{
		t.Packages(), len(t.Nodes), t.PhysicalCores(), t.LogicalCores(), t.HyperThreading(),
		t.Isolated.String(), t.NoHzFull.String(), []nodeJSON{}, []cpuJSON{},
	}
	for _, node := range t.Nodes {
		out.Nodes = append(out.Nodes, nodeJSON{node.ID, node.CPUs.String(), node.Distances})
	}
	for _, c := range t.CPUs {
		row := cpuJSON{Index: c.Index, Online: c.Online, Siblings: c.Siblings.Slice()}
		if c.Online {
			kind := c.Kind.String()
			row.Kind = &kind
			row.Package, row.Die, row.NUMANode = known(c.Package), known(c.Die), known(c.NUMANode)
			row.Core, row.L3 = known(c.Core), known(c.L3)
		}
		out.CPUs = append(out.CPUs, row)
	}
	return json.Marshal(out)
}

// known returns nil for None, so that JSON says null.
func known(id int) *int {
	if id == None {
		return nil
	}
	return &id
}
