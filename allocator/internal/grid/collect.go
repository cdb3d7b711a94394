// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

import "math/bits"

// collect turns the selection into units: the lowest of each leaf, but where
// cores have several units, in share mode, first whole cores, then what is left
// of cores that are in use already: so two jobs seldom meet on the threads of one
// core.
func (g *Grid) collect(picked *Bitmap) {
	s := &g.work
	for _, l := range s.used {
		at, n := &g.bits[l], s.take[l]
		switch {
		case at.mask == 0:
			g.collectWide(picked, at, n)
		case n >= s.leaf[l]:
			picked[at.word] |= s.free[at.word] & at.mask
		case !g.threaded:
			picked[at.word] |= lowest(s.free[at.word]&at.mask, n)
		default:
			picked[at.word] |= pickThreads(s.free[at.word]&at.mask, at.mask, g.first[at.word], n)
		}
	}
}

// pickThreads picks n of the free units of a leaf that lies in one word.
func pickThreads(free, leaf, first uint64, n int) uint64 {
	taken := wholeCores(free, leaf, first, n)
	n -= bits.OnesCount64(taken)
	partial := lowest(partialCores(free, leaf, first), n)
	n -= bits.OnesCount64(partial)
	taken |= partial
	return taken | lowest(free&^taken, n)
}

// collectWide picks n units of a leaf that lies in several words.
func (g *Grid) collectWide(picked *Bitmap, leaf *leafBits, n int) {
	const (
		whole = iota
		partial
		anyOne
	)
	for stage := whole; stage <= anyOne; stage++ {
		if !g.threaded {
			stage = anyOne
		}
		for _, at := range leaf.parts {
			all, first := ^uint64(0)>>(64-(at.to-at.from)), g.first.window(at.from, at.to)
			free := g.work.free.window(at.from, at.to) &^ picked.window(at.from, at.to)
			switch stage {
			case whole:
				free = wholeCores(free, all, first, n)
			case partial:
				free = partialCores(free, all, first)
			}
			free = lowest(free, n)
			n -= bits.OnesCount64(free)
			picked.put(at.from, free)
		}
	}
}

// wholeCores picks at most n units: of the lowest cores all units of which are
// free, as long as they fit. first marks the first unit of each core.
func wholeCores(free, leaf, first uint64, n int) (taken uint64) {
	for ends := coreEnds(free, leaf, first); ends != 0 && n > 0; ends &= ends - 1 {
		core := coreUpTo(ends&-ends, leaf, first)
		if size := bits.OnesCount64(core); size <= n {
			taken |= core
			n -= size
		}
	}
	return taken
}

// partialCores returns the free units of cores that are already in use.
func partialCores(free, leaf, first uint64) uint64 {
	for ends := coreEnds(free, leaf, first); ends != 0; ends &= ends - 1 {
		free &^= coreUpTo(ends&-ends, leaf, first)
	}
	return free
}

// coreEnds returns the last units of the cores all units of which are free: one
// added to the first unit of such a core carries up to its last.
func coreEnds(free, leaf, first uint64) uint64 {
	first = first&leaf | leaf&-leaf
	last := first&^(leaf&-leaf)>>1 | 1<<(63-bits.LeadingZeros64(leaf))
	return (free&^last + first) & last & free
}

// coreUpTo returns the units of the core that ends with this one.
func coreUpTo(end, leaf, first uint64) uint64 {
	upTo := end | (end - 1)
	first = first&leaf | leaf&-leaf
	return upTo &^ (1<<(63-bits.LeadingZeros64(first&upTo)) - 1)
}

// lowest returns the n lowest of some units, or all where they are fewer.
func lowest(units uint64, n int) uint64 {
	have := bits.OnesCount64(units)
	if n >= have {
		return units
	}
	if n <= have-n {
		rest := units
		for range n {
			rest &= rest - 1
		}
		return units &^ rest
	}
	for ; have > n; have-- {
		units &^= 1 << (63 - bits.LeadingZeros64(units))
	}
	return units
}
