// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"math/bits"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// A unit is what is given out: a physical core in isolate mode, a logical CPU
// in share mode. Units are numbered in the order of the machine's tree, package
// by package, NUMA node by node, cache by cache, so that every domain is a range
// of a bitmap of free units.
type unit struct {
	bind int        // the CPU a job is bound to
	held cpuset.Set // the CPUs that go with it: managed ones of the core, or bind alone
	core int        // physical core, as in CPU.Core
}

// bitmap is a set of units.
type bitmap [cpuset.MaxCPUs / 64]uint64

func (b *bitmap) set(u int)      { b[u>>6] |= 1 << (u & 63) }
func (b *bitmap) clear(u int)    { b[u>>6] &^= 1 << (u & 63) }
func (b *bitmap) has(u int) bool { return b[u>>6]&(1<<(u&63)) != 0 }

// count returns how many units of [from, to) are in the set.
func (b *bitmap) count(from, to int) int {
	if from >= to {
		return 0
	}
	first, last := from>>6, (to-1)>>6
	head := ^uint64(0) << (from & 63)
	tail := ^uint64(0) >> (63 - (to-1)&63)
	if first == last {
		return bits.OnesCount64(b[first] & head & tail)
	}
	n := bits.OnesCount64(b[first]&head) + bits.OnesCount64(b[last]&tail)
	for i := first + 1; i < last; i++ {
		n += bits.OnesCount64(b[i])
	}
	return n
}

// oneWord returns the word of a bitmap that [from, to) lies in and its bits
// there; no bits where it lies in more than one.
func oneWord(from, to int) (word int, mask uint64) {
	if from>>6 != (to-1)>>6 {
		return 0, 0
	}
	return from >> 6, ^uint64(0) << (from & 63) & (^uint64(0) >> (63 - (to-1)&63))
}

// window returns the units of [from, to), at most 64, as bits from 0 up.
func (b *bitmap) window(from, to int) uint64 {
	w, shift := from>>6, from&63
	units := b[w] >> shift
	if shift > 0 && w+1 < len(b) {
		units |= b[w+1] << (64 - shift)
	}
	return units & (^uint64(0) >> (64 - (to - from)))
}

// put adds units that window would return.
func (b *bitmap) put(from int, units uint64) {
	w, shift := from>>6, from&63
	b[w] |= units << shift
	if shift > 0 && w+1 < len(b) {
		b[w+1] |= units >> (64 - shift)
	}
}

// and returns the units in both sets.
func (b *bitmap) and(o *bitmap) (both bitmap) {
	for i := range b {
		both[i] = b[i] & o[i]
	}
	return both
}

// without returns the units of b that are not in o.
func (b *bitmap) without(o *bitmap) (rest bitmap) {
	for i := range b {
		rest[i] = b[i] &^ o[i]
	}
	return rest
}

// unitsWithout returns the units that hold none of the CPUs.
func (g *grid) unitsWithout(taken cpuset.Set) bitmap {
	var units bitmap
	for i := range g.units {
		units.set(i)
	}
	for index := range taken.All() {
		if u := g.unitOf[index]; u != None {
			units.clear(u)
		}
	}
	return units
}

// cpusOf returns the CPUs to bind to and the CPUs that go with them.
func (g *grid) cpusOf(units *bitmap) (bind, held cpuset.Set) {
	for w, word := range units {
		for ; word != 0; word &= word - 1 {
			u := &g.units[w<<6+bits.TrailingZeros64(word)]
			bind.Add(u.bind)
			held = held.Union(u.held)
		}
	}
	return bind, held
}
