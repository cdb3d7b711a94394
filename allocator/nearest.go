// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"cmp"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// nearest picks n of the free units, those nearest to the given CPUs first: the
// same core, then the same L3 cache, NUMA node and package, then by the distance
// of the nodes. Enough units are free. Units of the kind of core that the CPUs
// are come first, and those that are isolated as the CPUs are. CPUs whose place is not known (offline ones) do not count.
func (g *grid) nearest(free *bitmap, near cpuset.Set, n int) (picked bitmap) {
	ranks := g.ranks(near)
	order := make([]int, 0, len(g.units))
	for u := range g.units {
		if free.has(u) {
			order = append(order, u)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ranks[a], ranks[b]) })
	for _, u := range order[:n] {
		picked.set(u)
	}
	return picked
}

// ranks says how far every unit is from the CPUs; see nearest.
func (g *grid) ranks(near cpuset.Set) []int {
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
	var places []CPU
	for index := range near.All() {
		if cpu, ok := g.topo.CPU(index); ok && cpu.Online {
			places = append(places, cpu)
			kinds[cpu.Kind]++
		}
	}
	distance := func(u, p CPU) int {
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
	ranks := make([]int, len(g.units))
	for i := range g.units {
		cpu := g.cpu(g.units[i])
		best := 2 * farFactor
		for _, place := range places {
			best = min(best, distance(cpu, place))
		}
		if kinds[cpu.Kind] == 0 && kinds[1-cpu.Kind] > 0 {
			best += kindFactor
		}
		if apart != g.units[i].held.SubsetOf(g.topo.Isolated) {
			best += apartFactor
		}
		ranks[i] = best
	}
	return ranks
}
