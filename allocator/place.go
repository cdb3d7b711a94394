// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

// scratch is the working space of one decision, so that deciding does not
// allocate. A selection is how many units to take of each leaf.
type scratch struct {
	*tally // what is free, of the tier that was chosen

	take []int // the selection: units to take of each leaf
	used []int // the leaves there are any to take of

	best         []int // leaves of the best selection so far
	spare, waste int   // which of them keeps units, and how many
	key          key   // what the selection is worth
	found        bool

	pool             bitmap // leaves that may be chosen
	have, use        []int  // leaves of each class in the pool, and chosen
	chosen           []int  // leaves that are chosen; all of them but one used up
	pkgAll, midAll   []int
	pkgPick, midPick subset
	midLoss, pkgLoss []int // units a selection takes of each domain
	seen             []int // mark by NUMA node, then L3 cache, then middle domain
	mark             int

	nodeTake []int // by NUMA node, for scatter
}

func (s *scratch) make(g *grid) {
	leaves, mids, pkgs := len(g.leaves), len(g.mids), len(g.pkgs)
	s.have, s.use = make([]int, g.widest), make([]int, g.widest)
	s.take, s.used = make([]int, leaves), make([]int, 0, leaves)
	s.chosen, s.best = make([]int, 0, leaves), make([]int, 0, leaves)
	s.pkgAll, s.midAll = make([]int, 0, pkgs), make([]int, 0, mids)
	s.pkgPick, s.midPick = newSubset(pkgs), newSubset(mids)
	s.midLoss, s.pkgLoss = make([]int, mids), make([]int, pkgs)
	s.seen = make([]int, g.nodes+g.l3s+mids)
	s.nodeTake = make([]int, g.nodes)
}

// place picks n units of the stock by the layout, all of the first tier that has
// as many. The tier is nil where none has.
func (g *grid) place(from *stock, n int, scatter bool) (picked bitmap, t *tier) {
	for i := range from.tallies {
		if from.tallies[i].total >= n {
			t, g.s.tally = &g.tiers[i], &from.tallies[i]
			break
		}
	}
	if t == nil {
		return picked, nil
	}
	if scatter {
		g.scatter(n)
	} else {
		g.pack(n)
	}
	g.collect(&picked)
	return picked, t
}
