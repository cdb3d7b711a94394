// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

import "math/bits"

// Free is the free units, counted in every domain of the machine, for each tier by
// itself. It is kept from one decision to the next: when units are taken or given
// back, only the leaves they lie in are counted again, so that a decision begins with
// the sums and does not look at single cores.
type Free struct {
	grid   *Grid
	units  Bitmap
	counts []counts // by tier
}

// counts is the free units of one tier.
type counts struct {
	free  Bitmap
	total int
	leaf  []int // free units of each leaf
	mid   []int // of each middle domain
	pkg   []int // of each package
	node  []int // of each NUMA node

	// Leaves with the same number of free units are a class.
	classes []int    // the numbers there are, above 0, descending
	class   []uint64 // leaves by number of free units: leafWords words for each
	filled  Bitmap   // bit c-1: some leaf has c free units
}

// NewFree returns a Free without a free unit.
func (g *Grid) NewFree() *Free {
	f := &Free{grid: g, counts: make([]counts, len(g.tiers))}
	for i := range f.counts {
		f.counts[i] = counts{
			leaf: make([]int, len(g.leaves)), mid: make([]int, len(g.mids)),
			pkg: make([]int, len(g.pkgs)), node: make([]int, g.nodes),
			classes: make([]int, 0, g.widest), class: make([]uint64, (g.widest+1)*g.leafWords),
		}
	}
	return f
}

// Set makes these units the free ones.
func (f *Free) Set(units *Bitmap) {
	f.units = *units
	for i := range f.counts {
		f.counts[i].set(f.grid, &f.grid.tiers[i].mask, units)
	}
}

// Units returns the free units.
func (f *Free) Units() Bitmap { return f.units }

// Has reports whether a unit is free.
func (f *Free) Has(u int) bool { return f.units.Has(u) }

// Len returns the number of free units.
func (f *Free) Len() int { return f.units.Len() }

// set counts what is free of the tier.
func (c *counts) set(g *Grid, mask, free *Bitmap) {
	changed := false
	for w := range g.leavesInWord {
		now := free[w] & mask[w]
		if now == c.free[w] {
			continue
		}
		c.free[w], changed = now, true
		for l := g.leavesInWord[w].from; l < g.leavesInWord[w].to; l++ {
			at := &g.bits[l]
			if at.mask == 0 {
				c.recount(g, l, c.free.Count(at.from, at.to))
			} else {
				c.recount(g, l, bits.OnesCount64(now&at.mask))
			}
		}
	}
	if changed {
		c.listClasses(g)
	}
}

// recount notes that a leaf has n free units now.
func (c *counts) recount(g *Grid, l, n int) {
	was := c.leaf[l]
	if n == was {
		return
	}
	if was > 0 {
		c.class[was*g.leafWords+l>>6] &^= 1 << (l & 63)
		if c.isEmptyClass(g, was) {
			c.filled.Clear(was - 1)
		}
	}
	if n > 0 {
		c.class[n*g.leafWords+l>>6] |= 1 << (l & 63)
		c.filled.Set(n - 1)
	}
	at := &g.leaves[l]
	c.leaf[l] = n
	c.mid[at.mid] += n - was
	c.pkg[at.pkg] += n - was
	c.node[at.node] += n - was
	c.total += n - was
}

// isEmptyClass reports whether no leaf has n free units.
func (c *counts) isEmptyClass(g *Grid, n int) bool {
	for _, leaves := range c.classWords(g, n) {
		if leaves != 0 {
			return false
		}
	}
	return true
}

// listClasses writes down which classes have a leaf.
func (c *counts) listClasses(g *Grid) {
	c.classes = c.classes[:0]
	for w := (g.widest - 1) >> 6; w >= 0; w-- {
		for word := c.filled[w]; word != 0; {
			bit := 63 - bits.LeadingZeros64(word)
			word &^= 1 << bit
			c.classes = append(c.classes, w<<6+bit+1)
		}
	}
}

// classWords returns the leaves with n free units.
func (c *counts) classWords(g *Grid, n int) []uint64 {
	return c.class[n*g.leafWords : (n+1)*g.leafWords]
}
