// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import "math/bits"

// stock is the free units, counted in every domain of the machine, for each tier
// by itself. It is kept from one decision to the next: when units are taken or
// given back, only the leaves they lie in are counted again, so that a decision
// begins with the sums and looks at cores no more.
type stock struct {
	grid    *grid
	units   bitmap  // the free ones
	tallies []tally // by tier
}

// tally is the free units of one tier.
type tally struct {
	free  bitmap
	total int
	leaf  []int // free units of each leaf
	mid   []int // of each middle domain
	pkg   []int // of each package
	node  []int // of each NUMA node

	// Leaves with the same number of free units are a class.
	classes []int    // the numbers there are, above 0, descending
	class   []uint64 // leaves by number of free units: leafWords words for each
	filled  bitmap   // bit c-1: some leaf has c free units
}

// newStock returns a stock without a free unit.
func (g *grid) newStock() *stock {
	s := &stock{grid: g, tallies: make([]tally, len(g.tiers))}
	for i := range s.tallies {
		s.tallies[i] = tally{
			leaf: make([]int, len(g.leaves)), mid: make([]int, len(g.mids)),
			pkg: make([]int, len(g.pkgs)), node: make([]int, g.nodes),
			classes: make([]int, 0, g.widest), class: make([]uint64, (g.widest+1)*g.leafWords),
		}
	}
	return s
}

// set makes these units the free ones.
func (s *stock) set(free *bitmap) {
	s.units = *free
	for i := range s.tallies {
		s.tallies[i].set(s.grid, &s.grid.tiers[i].mask, free)
	}
}

// count returns the number of free units.
func (s *stock) count() int { return s.units.count(0, len(s.grid.units)) }

// set counts what is free of the tier.
func (t *tally) set(g *grid, mask, free *bitmap) {
	changed := false
	for w := range g.leavesAt {
		now := free[w] & mask[w]
		if now == t.free[w] {
			continue
		}
		t.free[w], changed = now, true
		for l := g.leavesAt[w].from; l < g.leavesAt[w].to; l++ {
			at := &g.spans[l]
			if at.mask == 0 {
				t.recount(g, l, t.free.count(at.from, at.to))
			} else {
				t.recount(g, l, bits.OnesCount64(now&at.mask))
			}
		}
	}
	if changed {
		t.list(g)
	}
}

// recount notes that a leaf has n free units now.
func (t *tally) recount(g *grid, l, n int) {
	was := t.leaf[l]
	if n == was {
		return
	}
	if was > 0 {
		t.class[was*g.leafWords+l>>6] &^= 1 << (l & 63)
		if t.without(g, was) {
			t.filled.clear(was - 1)
		}
	}
	if n > 0 {
		t.class[n*g.leafWords+l>>6] |= 1 << (l & 63)
		t.filled.set(n - 1)
	}
	at := &g.leaves[l]
	t.leaf[l] = n
	t.mid[at.mid] += n - was
	t.pkg[at.pkg] += n - was
	t.node[at.node] += n - was
	t.total += n - was
}

// without tells whether no leaf has c free units.
func (t *tally) without(g *grid, c int) bool {
	for _, leaves := range t.classWords(g, c) {
		if leaves != 0 {
			return false
		}
	}
	return true
}

// list writes the classes down.
func (t *tally) list(g *grid) {
	t.classes = t.classes[:0]
	for w := (g.widest - 1) >> 6; w >= 0; w-- {
		for word := t.filled[w]; word != 0; {
			bit := 63 - bits.LeadingZeros64(word)
			word &^= 1 << bit
			t.classes = append(t.classes, w<<6+bit+1)
		}
	}
}

// classWords returns the leaves with c free units.
func (t *tally) classWords(g *grid, c int) []uint64 {
	return t.class[c*g.leafWords : (c+1)*g.leafWords]
}
