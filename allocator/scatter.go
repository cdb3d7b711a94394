// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

// scatter selects n units spread evenly over the NUMA nodes, and within each
// node evenly over the L3 caches. Each further unit goes to the node, and there
// to the leaf, that gives fewest so far; among equals to the one with most left.
func (g *grid) scatter(n int) {
	s := &g.s
	clear(s.take)
	clear(s.nodeTake)
	clear(s.nodeFree)
	for l := range g.leaves {
		s.nodeFree[g.leaves[l].node] += s.leaf[l]
	}
	for ; n > 0; n-- {
		node := None
		for m, free := range s.nodeFree {
			if free > 0 && (node == None || s.nodeTake[m] < s.nodeTake[node] ||
				s.nodeTake[m] == s.nodeTake[node] && free > s.nodeFree[node]) {
				node = m
			}
		}
		s.nodeFree[node]--
		s.nodeTake[node]++
	}
	for node, share := range s.nodeTake {
		for ; share > 0; share-- {
			s.take[g.sparest(node)]++
		}
	}
}

// sparest returns the leaf of the node that is to give the next unit.
func (g *grid) sparest(node int) int {
	s := &g.s
	best := None
	for l := range g.leaves {
		left := s.leaf[l] - s.take[l]
		if g.leaves[l].node != node || left == 0 {
			continue
		}
		if best == None || s.take[l] < s.take[best] || s.take[l] == s.take[best] && left > s.leaf[best]-s.take[best] {
			best = l
		}
	}
	return best
}
