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
	s.used = s.used[:0]
	for l, n := range s.take {
		if n > 0 {
			s.used = append(s.used, l)
		}
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
		spreadRest(of, free, take, n)
		return
	}
}

// spreadRest takes one unit each of the n domains with most units left. All
// domains that have any left gave the same number so far, and are more than n.
func spreadRest(of, free, take []int, n int) {
	gave := None
	for ; n > 0; n-- {
		most := None
		for _, d := range of {
			left := free[d] - take[d]
			if left > 0 && (gave == None || take[d] == gave) && (most == None || left > free[most]-take[most]) {
				most = d
			}
		}
		gave = take[most]
		take[most]++
	}
}
