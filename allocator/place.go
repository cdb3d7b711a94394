// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import "math/bits"

// scratch is the working space of one decision, so that deciding does not
// allocate. A selection is how many units to take of each leaf.
type scratch struct {
	free  bitmap
	leaf  []int // free units of each leaf
	mid   []int // free units of each middle domain
	pkg   []int // free units of each package
	order []int // leaves, within each middle domain the one with most free units first

	take  []int // the best selection so far: units to take of each leaf
	key   key   // what it is worth
	found bool

	pool             []int // leaves that may be chosen, those that are chosen first
	heads            []int // for sorting the pool
	pkgAll, midAll   []int
	pkgPick, midPick subset
	midLoss, pkgLoss []int // units a selection takes of each domain
	seen             []int // mark by NUMA node, then by L3 cache
	mark             int

	nodeFree, nodeTake []int // by NUMA node, for scatter
}

func (s *scratch) make(g *grid) {
	leaves, mids, pkgs := len(g.leaves), len(g.mids), len(g.pkgs)
	s.leaf, s.mid, s.pkg = make([]int, leaves), make([]int, mids), make([]int, pkgs)
	s.order, s.take = make([]int, leaves), make([]int, leaves)
	s.pool, s.heads = make([]int, 0, leaves), make([]int, g.widest+2)
	s.pkgAll, s.midAll = make([]int, 0, pkgs), make([]int, 0, mids)
	s.pkgPick, s.midPick = newSubset(pkgs), newSubset(mids)
	s.midLoss, s.pkgLoss = make([]int, mids), make([]int, pkgs)
	s.seen = make([]int, g.nodes+g.l3s)
	s.nodeFree, s.nodeTake = make([]int, g.nodes), make([]int, g.nodes)
}

// place picks n of the free units by the layout. The tier is nil where fewer
// are free.
func (g *grid) place(free *bitmap, n int, scatter bool) (picked bitmap, t *tier) {
	if t = g.choose(free, n); t == nil {
		return picked, nil
	}
	g.survey(free, t, n)
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

// survey counts the free units of the tier in every domain, and orders the
// leaves of each middle domain by them.
func (g *grid) survey(free *bitmap, t *tier, n int) {
	s := &g.s
	ascending := g.whole(n)
	for w := range (len(g.units) + 63) >> 6 {
		s.free[w] = free[w] & t.mask[w]
	}
	for p := range g.pkgs {
		s.pkg[p] = 0
		for m := g.pkgs[p].from; m < g.pkgs[p].to; m++ {
			s.mid[m] = g.surveyMid(&g.mids[m], ascending)
			s.pkg[p] += s.mid[m]
		}
	}
}

// surveyMid counts the free units of a middle domain and orders its leaves by
// them, equals by their number.
func (g *grid) surveyMid(mid *domain, ascending bool) int {
	s := &g.s
	sum := 0
	for l := mid.from; l < mid.to; l++ {
		n := 0
		if at := &g.leaves[l]; at.mask != 0 {
			n = bits.OnesCount64(s.free[at.word] & at.mask)
		} else {
			n = s.free.count(at.from, at.to)
		}
		s.leaf[l] = n
		sum += n
		least := n // insertion sort: a middle domain has few leaves
		if !ascending {
			least = n + 1
		}
		at := l
		for ; at > mid.from && s.leaf[s.order[at-1]] < least; at-- {
			s.order[at] = s.order[at-1]
		}
		s.order[at] = l
	}
	return sum
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
