// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

import (
	"cmp"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
)

// Nearest picks n of the free units, those nearest to the given CPUs first: the
// same core, then the same L3 cache, NUMA node and package, then by the distance
// of the nodes. Enough units are free. Units of the CPUs' kind of core come first,
// and those that are isolated as the CPUs are. CPUs whose place is not known (offline
// ones) do not count.
func (g *Grid) Nearest(free *Bitmap, near cpuset.Set, n int) (picked Bitmap) {
	far := g.distances(near)
	order := make([]int, 0, len(g.units))
	for u := range g.units {
		if free.Has(u) {
			order = append(order, u)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(far[a], far[b]) })
	for _, u := range order[:n] {
		picked.Set(u)
	}
	return picked
}

// distances returns how far every unit is from the CPUs; see Nearest.
func (g *Grid) distances(near cpuset.Set) []int {
	const (
		sameCore    = iota
		sameCache   // and node
		sameNode    //
		samePackage // plus the distance of the nodes
		apartFactor = 1 << 22
		kindFactor  = 1 << 20
		farFactor   = 1 << 16
	)
	kinds := [2]int{}
	apart := near.Overlaps(g.topo.Isolated)
	var places []topology.CPU
	for index := range near.All() {
		if cpu, ok := g.topo.CPU(index); ok && cpu.Online {
			places = append(places, cpu)
			kinds[cpu.Kind]++
		}
	}
	distance := func(u, p topology.CPU) int {
		switch {
		case u.Core == p.Core:
			return sameCore
		case u.NUMANode == p.NUMANode && u.Package == p.Package && u.L3 == p.L3:
			return sameCache
		case u.NUMANode == p.NUMANode && u.Package == p.Package:
			return sameNode
		case u.Package == p.Package:
			return samePackage + g.topo.Distance(p.NUMANode, u.NUMANode)
		}
		return farFactor + g.topo.Distance(p.NUMANode, u.NUMANode)
	}
	far := make([]int, len(g.units))
	for i := range g.units {
		cpu := g.cpu(g.units[i])
		best := 2 * farFactor
		for _, place := range places {
			best = min(best, distance(cpu, place))
		}
		if kinds[cpu.Kind] == 0 && kinds[1-cpu.Kind] > 0 {
			best += kindFactor
		}
		if apart != g.units[i].Held.SubsetOf(g.topo.Isolated) {
			best += apartFactor
		}
		far[i] = best
	}
	return far
}
