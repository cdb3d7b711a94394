// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import "math/bits"

// scratch is the working space of one decision, so that deciding does not
// allocate. A selection is how many units to take of each leaf.
type scratch struct {
	free bitmap
	leaf []int // free units of each leaf
	mid  []int // free units of each middle domain
	pkg  []int // free units of each package

	// Leaves with the same number of free units are a class.
	classes []int    // the numbers there are, above 0, descending
	class   []uint64 // leaves by number of free units: leafWords words for each

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

	nodeFree, nodeTake []int // by NUMA node, for scatter
}

func (s *scratch) make(g *grid) {
	leaves, mids, pkgs := len(g.leaves), len(g.mids), len(g.pkgs)
	s.leaf, s.mid, s.pkg = make([]int, leaves), make([]int, mids), make([]int, pkgs)
	s.classes, s.class = make([]int, 0, g.widest), make([]uint64, (g.widest+1)*g.leafWords)
	s.have, s.use = make([]int, g.widest), make([]int, g.widest)
	s.take, s.used = make([]int, leaves), make([]int, 0, leaves)
	s.chosen, s.best = make([]int, 0, leaves), make([]int, 0, leaves)
	s.pkgAll, s.midAll = make([]int, 0, pkgs), make([]int, 0, mids)
	s.pkgPick, s.midPick = newSubset(pkgs), newSubset(mids)
	s.midLoss, s.pkgLoss = make([]int, mids), make([]int, pkgs)
	s.seen = make([]int, g.nodes+g.l3s+mids)
	s.nodeFree, s.nodeTake = make([]int, g.nodes), make([]int, g.nodes)
}

// place picks n of the free units by the layout. The tier is nil where fewer
// are free.
func (g *grid) place(free *bitmap, n int, scatter bool) (picked bitmap, t *tier) {
	if t = g.choose(free, n); t == nil {
		return picked, nil
	}
	g.survey(free, t)
	if scatter {
		g.scatter(n)
	} else {
		g.pack(n)
	}
	g.collect(&picked)
	return picked, t
}

// choose returns the first tier with n free units, or nil.
func (g *grid) choose(free *bitmap, n int) *tier {
	words := (len(g.units) + 63) >> 6
	for i := range g.tiers {
		t := &g.tiers[i]
		left := 0
		for w := range words {
			left += bits.OnesCount64(free[w] & t.mask[w])
		}
		if left >= n {
			return t
		}
	}
	return nil
}

// survey counts the free units of the tier in every domain. It is a third of a
// decision, so its loops are short.
func (g *grid) survey(free *bitmap, t *tier) {
	s := &g.s
	for w := range (len(g.units) + 63) >> 6 {
		s.free[w] = free[w] & t.mask[w]
	}
	g.countLeaves()
	for p := range g.pkgs {
		s.pkg[p] = 0
		for m := g.pkgs[p].from; m < g.pkgs[p].to; m++ {
			sum := 0
			for _, n := range s.leaf[g.mids[m].from:g.mids[m].to] {
				sum += n
			}
			s.mid[m] = sum
			s.pkg[p] += sum
		}
	}
	g.classify()
}

// countLeaves counts the free units of the leaves.
func (g *grid) countLeaves() {
	free, counts := &g.s.free, g.s.leaf[:len(g.spans)]
	for l := range g.spans {
		at := &g.spans[l]
		counts[l] = bits.OnesCount64(free[at.word&(len(free)-1)] & at.mask)
	}
	for _, l := range g.wide {
		g.s.leaf[l] = free.count(g.spans[l].from, g.spans[l].to)
	}
}

// classify sorts the leaves into classes.
func (g *grid) classify() {
	s := &g.s
	for _, c := range s.classes {
		clear(s.classWords(g, c))
	}
	// The numbers of free units there are. Those below 64, as nearly every leaf
	// has, in a register.
	var few uint64
	var many bitmap
	class, words := s.class, g.leafWords
	for l, n := range s.leaf {
		class[n*words+l>>6] |= 1 << (l & 63)
		if n < 64 {
			few |= 1 << n
		} else {
			many.set(n - 1)
		}
	}
	clear(s.classWords(g, 0))
	many[0] |= few >> 1
	s.classes = s.classes[:0]
	for w := (g.widest - 1) >> 6; w >= 0; w-- {
		for word := many[w]; word != 0; {
			bit := 63 - bits.LeadingZeros64(word)
			word &^= 1 << bit
			s.classes = append(s.classes, w<<6+bit+1)
		}
	}
}

// classWords returns the leaves with c free units.
func (s *scratch) classWords(g *grid, c int) []uint64 {
	return s.class[c*g.leafWords : (c+1)*g.leafWords]
}

// collect turns the selection into units: whole cores first, in share mode, so
// that two jobs seldom meet on the threads of one core.
func (g *grid) collect(picked *bitmap) {
	s := &g.s
	for _, l := range s.used {
		at, n := &g.leaves[l], s.take[l]
		switch {
		case n == s.leaf[l] && g.spans[l].mask != 0:
			word := g.spans[l].word
			picked[word] |= s.free[word] & g.spans[l].mask
			continue
		case n < s.leaf[l] && g.threaded:
			n -= g.wholeCores(picked, at, n)
			n -= g.brokenCores(picked, at, n)
		}
		s.free.move(picked, at.from, at.to, n)
	}
}

// wholeCores takes cores all units of which are free, as long as they fit.
func (g *grid) wholeCores(picked *bitmap, at *leaf, n int) (taken int) {
	for u := at.from; u < at.to && taken < n; {
		end := g.coreEnd(u, at.to)
		if size := end - u; taken+size <= n && g.s.free.count(u, end) == size {
			g.s.free.move(picked, u, end, size)
			taken += size
		}
		u = end
	}
	return taken
}

// brokenCores takes units of cores that are already shared with another job.
func (g *grid) brokenCores(picked *bitmap, at *leaf, n int) (taken int) {
	for u := at.from; u < at.to && taken < n; {
		end := g.coreEnd(u, at.to)
		if left := g.s.free.count(u, end); left < end-u {
			left = min(left, n-taken)
			g.s.free.move(picked, u, end, left)
			taken += left
		}
		u = end
	}
	return taken
}

// coreEnd returns the first unit after u's core, at most to.
func (g *grid) coreEnd(u, to int) int {
	end := u + 1
	for end < to && g.units[end].core == g.units[u].core {
		end++
	}
	return end
}
