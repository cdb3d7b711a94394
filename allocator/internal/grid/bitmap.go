// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

import (
	"math/bits"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// Bitmap is a set of units; within the package also of leaves.
type Bitmap [cpuset.MaxCPUs / 64]uint64

// Set adds a unit.
func (b *Bitmap) Set(u int) { b[u>>6] |= 1 << (u & 63) }

// Clear takes a unit out.
func (b *Bitmap) Clear(u int) { b[u>>6] &^= 1 << (u & 63) }

// Has reports whether a unit is in the set.
func (b *Bitmap) Has(u int) bool { return b[u>>6]&(1<<(u&63)) != 0 }

// Count returns how many units of [from, to) are in the set.
func (b *Bitmap) Count(from, to int) int {
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

// Len returns the number of units in the set.
func (b *Bitmap) Len() int { return b.Count(0, len(b)*64) }

// oneWord returns the word of a Bitmap that [from, to) lies in and its bits
// there; no bits where it lies in more than one.
func oneWord(from, to int) (word int, mask uint64) {
	if from>>6 != (to-1)>>6 {
		return 0, 0
	}
	return from >> 6, ^uint64(0) << (from & 63) & (^uint64(0) >> (63 - (to-1)&63))
}

// window returns the units of [from, to), at most 64, as bits from 0 up.
func (b *Bitmap) window(from, to int) uint64 {
	w, shift := from>>6, from&63
	units := b[w] >> shift
	if shift > 0 && w+1 < len(b) {
		units |= b[w+1] << (64 - shift)
	}
	return units & (^uint64(0) >> (64 - (to - from)))
}

// put adds units that window would return.
func (b *Bitmap) put(from int, units uint64) {
	w, shift := from>>6, from&63
	b[w] |= units << shift
	if shift > 0 && w+1 < len(b) {
		b[w+1] |= units >> (64 - shift)
	}
}

// And returns the units in both sets.
func (b *Bitmap) And(o *Bitmap) (both Bitmap) {
	for i := range b {
		both[i] = b[i] & o[i]
	}
	return both
}

// without returns the units of b that are not in o.
func (b *Bitmap) without(o *Bitmap) (rest Bitmap) {
	for i := range b {
		rest[i] = b[i] &^ o[i]
	}
	return rest
}
