// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

// scatter selects n units spread evenly over the NUMA nodes, and within each
// node evenly over its leaves. Enough units are free.
func (g *Grid) scatter(n int) {
	s := &g.work
	s.used = s.used[:0]
	spread(g.nodeList, s.node, s.nodeTake, n)
	for node, leaves := range g.nodeLeaves {
		if s.nodeTake[node] == 0 {
			continue
		}
		spread(leaves, s.leaf, s.take, s.nodeTake[node])
		for _, l := range leaves {
			if s.take[l] > 0 {
				s.used = append(s.used, l)
			}
		}
	}
}

// spread takes n units of the domains: the same number of each, as far as they
// have them, and what is left over one each of those with most units left.
func spread(of, free, take []int, n int) {
	level, rest := evenShare(of, free, n)
	for _, d := range of {
		take[d] = min(free[d], level)
	}
	if rest == 0 {
		return
	}
	most := 0
	for _, d := range of {
		most = max(most, free[d])
	}
	for ; rest > 0; most-- {
		for _, d := range of {
			if free[d] == most && rest > 0 {
				take[d]++
				rest--
			}
		}
	}
}

// evenShare returns the largest number such that all domains can give as many, or
// all they have, without giving more than n together; and how many are left.
func evenShare(of, free []int, n int) (level, rest int) {
	for rest = n; rest > 0; {
		open, least := 0, rest
		for _, d := range of {
			if left := free[d] - level; left > 0 {
				open++
				least = min(least, left)
			}
		}
		share := rest / open
		if share < least {
			return level + share, rest - share*open
		}
		level += least
		rest -= least * open
	}
	return level, rest
}
