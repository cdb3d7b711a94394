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
	counted          int    // classes of which that is known
	chosen           []int  // leaves that are chosen; all of them but one used up
	pkgAll, midAll   []int
	pkgPick, midPick subset
	midLoss, pkgLoss []int // units a selection takes of each domain
	seen             []int // mark by NUMA node, then L3 cache, then middle domain, then package
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
	s.seen = make([]int, g.nodes+g.l3s+mids+pkgs)
	s.nodeTake = make([]int, g.nodes)
}

// place picks n units of the stock by the layout, all of the first tier that has
// as many, and of its part without timer tick where that costs nothing. The tier
// is nil where none has as many.
func (g *grid) place(from *stock, n int, scatter bool) (picked bitmap, t *tier) {
	at := 0
	for at < len(g.tiers) && (g.tiers[at].part || from.tallies[at].total < n) {
		at++
	}
	if at == len(g.tiers) {
		return picked, nil
	}
	t = &g.tiers[at]
	g.placeOn(&from.tallies[at], &picked, n, scatter)
	if t.quiet == 0 || from.tallies[t.quiet].total < n {
		return picked, t
	}
	var quiet bitmap
	g.placeOn(&from.tallies[t.quiet], &quiet, n, scatter)
	if g.extentOf(&quiet, scatter) == g.extentOf(&picked, scatter) {
		return quiet, &g.tiers[t.quiet]
	}
	g.s.tally = &from.tallies[at]
	return picked, t
}

// placeOn picks n units of a tier.
func (g *grid) placeOn(free *tally, picked *bitmap, n int, scatter bool) {
	g.s.tally = free
	if scatter {
		g.scatter(n)
	} else {
		g.pack(n)
	}
	g.collect(picked)
}

// extent is what units span, and for those that are to be spread how evenly.
type extent struct {
	packages, nodes, l3s int
	most                 int // units in one leaf, where they are spread
}

func (g *grid) extentOf(picked *bitmap, scatter bool) (e extent) {
	s := &g.s
	s.mark++
	for l := range g.leaves {
		at := &g.leaves[l]
		n := picked.count(at.from, at.to)
		if n == 0 {
			continue
		}
		e.nodes += s.first(at.node)
		e.l3s += s.first(g.nodes + at.l3)
		e.packages += s.first(g.nodes + g.l3s + len(g.mids) + at.pkg)
		if scatter {
			e.most = max(e.most, n)
		}
	}
	return e
}
