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
	class   []bitmap // leaves by number of free units

	take  []int // the best selection so far: units to take of each leaf
	key   key   // what it is worth
	found bool

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
	s.classes, s.class = make([]int, 0, g.widest), make([]bitmap, g.widest+1)
	s.have, s.use = make([]int, g.widest), make([]int, g.widest)
	s.take, s.chosen = make([]int, leaves), make([]int, 0, leaves)
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

// survey counts the free units of the tier in every domain.
func (g *grid) survey(free *bitmap, t *tier) {
	s := &g.s
	for w := range (len(g.units) + 63) >> 6 {
		s.free[w] = free[w] & t.mask[w]
	}
	for _, c := range s.classes {
		clear(s.class[c][:g.leafWords])
	}
	var seen bitmap // numbers of free units, less 1
	for p := range g.pkgs {
		s.pkg[p] = 0
		for m := g.pkgs[p].from; m < g.pkgs[p].to; m++ {
			sum := 0
			for l := g.mids[m].from; l < g.mids[m].to; l++ {
				n := s.surveyLeaf(&g.leaves[l])
				if s.leaf[l] = n; n > 0 {
					sum += n
					s.class[n].set(l)
					seen.set(n - 1)
				}
			}
			s.mid[m] = sum
			s.pkg[p] += sum
		}
	}
	s.classes = s.classes[:0]
	for w := (g.widest - 1) >> 6; w >= 0; w-- {
		for word := seen[w]; word != 0; {
			bit := 63 - bits.LeadingZeros64(word)
			word &^= 1 << bit
			s.classes = append(s.classes, w<<6+bit+1)
		}
	}
}

// surveyLeaf counts the free units of a leaf.
func (s *scratch) surveyLeaf(at *leaf) int {
	if at.mask == 0 {
		return s.free.count(at.from, at.to)
	}
	return bits.OnesCount64(s.free[at.word] & at.mask)
}

// collect turns the selection into units: whole cores first, in share mode, so
// that two jobs seldom meet on the threads of one core.
func (g *grid) collect(picked *bitmap) {
	s := &g.s
	for l, n := range s.take {
		if n == 0 {
			continue
		}
		at := &g.leaves[l]
		switch {
		case n == s.leaf[l] && at.mask != 0:
			picked[at.word] |= s.free[at.word] & at.mask
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
