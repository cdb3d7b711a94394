// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import "math"

// Of all placements that span the fewest domains, the one is chosen that leaves
// the machine most useful for the jobs to come. What a domain with free units is
// worth grows faster than their number (room for one large job is worth more
// than room for two small ones), so jobs gather in domains that are in use
// already, and an L3 cache nobody uses is worth more still. The weights were
// found by simulation on traces other than those the benchmark reports; the
// order of the domains matters, the digits hardly do.
type weights struct {
	leaf, mid, pkg  float64 // worth of a unit in a domain that is all free
	leafExp, pkgExp float64 // how fast it falls with the domain's use
	untouched       float64 // further worth of a leaf that is all free
	ends            float64 // of keeping jobs that fill caches apart from those that do not
	large           float64 // of keeping large jobs apart from small ones
	strad, lump            float64
}

var tuned = weights{leaf: 1.51, mid: 1.24, pkg: 1.88, leafExp: 2.68, pkgExp: 1.5, untouched: 6, large: 0, lump: 1}

// valueScale makes integers of the values.
const valueScale = 1000

// appraise fills the tables that say what free units are worth.
func (g *grid) appraise(w weights) {
	type shape struct {
		level    int
		capacity int
	}
	tables := map[shape][]int32{}
	table := func(level, capacity int, weight, exp, bonus float64) []int32 {
		at := shape{level, capacity}
		if tables[at] == nil {
			t := make([]int32, capacity+1)
			for c := range t {
				t[c] = int32(valueScale * weight * float64(capacity) * math.Pow(float64(c)/float64(capacity), exp))
			}
			t[capacity] += int32(valueScale * bonus)
			tables[at] = t
		}
		return tables[at]
	}
	for p := range g.pkgs {
		pkg := &g.pkgs[p]
		inPkg := 0
		for m := pkg.from; m < pkg.to; m++ {
			mid := &g.mids[m]
			inMid := 0
			for l := mid.from; l < mid.to; l++ {
				at := &g.leaves[l]
				at.value = table(0, at.to-at.from, w.leaf, w.leafExp, w.untouched)
				inMid += at.to - at.from
			}
			mid.value = table(1, inMid, w.mid, w.leafExp, 0)
			inPkg += inMid
		}
		pkg.value = table(2, inPkg, w.pkg, w.pkgExp, 0)
	}
}
