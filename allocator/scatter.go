// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

// scatter selects n units spread evenly over the NUMA nodes, and within each
// node evenly over the L3 caches. Enough units are free.
func (g *grid) scatter(n int) {
	s := &g.s
	clear(s.take)
	clear(s.nodeTake)
	clear(s.nodeFree)
	for l := range g.leaves {
		s.nodeFree[g.leaves[l].node] += s.leaf[l]
	}
	spread(g.nodeList, s.nodeFree, s.nodeTake, n)
	for node, leaves := range g.nodeLeaves {
		spread(leaves, s.leaf, s.take, s.nodeTake[node])
	}
}

// spread takes n units of the domains: the same number of each, as far as they
// have them, and what is left over of those with most units left.
func spread(of, free, take []int, n int) {
	for n > 0 {
		open, least := 0, n
		for _, d := range of {
			if left := free[d] - take[d]; left > 0 {
				open++
				least = min(least, left)
			}
		}
		if share := min(least, n/open); share > 0 {
			for _, d := range of {
				if free[d] > take[d] {
					take[d] += share
					n -= share
				}
			}
			continue
		}
		// Fewer units than domains: they go to the n with most left, which are the
		// same n whether counted before or after each gave one.
		for ; n > 0; n-- {
			most := None
			for _, d := range of {
				if most == None || free[d]-take[d] > free[most]-take[most] {
					most = d
				}
			}
			take[most]++
		}
	}
}
