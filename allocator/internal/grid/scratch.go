// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

// scratch is the working space of one decision, so that deciding does not
// allocate. A selection is how many units to take of each leaf.
type scratch struct {
	*counts // the free units of the tier that was chosen

	take []int // the selection: units to take of each leaf
	used []int // the leaves there are any to take of

	best             best
	pool             pool
	pkgAll, midAll   []int
	pkgPick, midPick subset
	midLoss, pkgLoss []int // units a selection takes of each domain
	visited          []int // mark by NUMA node, then L3 cache, then middle domain, then package
	mark             int

	nodeTake []int // by NUMA node, for scatter
	l3Free   []int // by L3 cache, for Facts
}

// best is the best selection so far.
type best struct {
	found   bool
	leaves  []int // all of them but one are used up
	partial int   // the leaf that is not,
	surplus int   // and how many units stay free in it
	key     key   // what the selection is worth
}

// pool is leaves that may be chosen, and those that are.
type pool struct {
	leaves    Bitmap
	have, use []int // leaves of each class in the pool, and chosen
	counted   int   // classes of which that is known
	chosen    []int // leaves that are chosen; all of them but one used up
}

func newScratch(g *Grid) scratch {
	leaves, mids, pkgs := len(g.leaves), len(g.mids), len(g.pkgs)
	return scratch{
		take: make([]int, leaves), used: make([]int, 0, leaves),
		best:   best{leaves: make([]int, 0, leaves)},
		pool:   pool{have: make([]int, g.widest), use: make([]int, g.widest), chosen: make([]int, 0, leaves)},
		pkgAll: make([]int, 0, pkgs), midAll: make([]int, 0, mids),
		pkgPick: newSubset(pkgs), midPick: newSubset(mids),
		midLoss: make([]int, mids), pkgLoss: make([]int, pkgs),
		visited:  make([]int, g.nodes+g.l3s+mids+pkgs),
		nodeTake: make([]int, g.nodes), l3Free: make([]int, g.l3s),
	}
}

// firstVisit returns 1 when a domain is seen for the first time since mark changed.
func (s *scratch) firstVisit(domain int) int {
	if s.visited[domain] == s.mark {
		return 0
	}
	s.visited[domain] = s.mark
	return 1
}
