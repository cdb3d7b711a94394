// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import "math"

// weights say what free units are worth. Of all placements that span the fewest
// domains, the one is chosen that leaves the machine most useful for the jobs to
// come: what a domain with free units is worth grows faster than their number
// (room for one large job is worth more than room for two small ones), so jobs
// gather in domains that are in use already, and an L3 cache nobody uses is
// worth more still. The digits were found by simulation, on the traces that
// BenchmarkQuality reports and on others; nearby values differ by chance only.
type weights struct {
	leaf, mid, pkg  float64 // of a unit in a domain that is all free
	leafExp, pkgExp float64 // how fast that falls with the domain's use
	untouched       float64 // of a leaf that is all free, beside its units
}

var tuned = weights{leaf: 1.6, mid: 2.55, pkg: 1.25, leafExp: 2.6, pkgExp: 2.5, untouched: 3.5}

// valueScale makes integers of the values.
const valueScale = 1000

// appraise fills the tables of the tree.
func (g *grid) appraise(w weights) {
	tables := valueTables{}
	g.leafValue = tables.get(0, g.widest, w.leaf, w.leafExp, w.untouched)
	for p := range g.pkgs {
		pkg := &g.pkgs[p]
		inPkg := 0
		for m := pkg.from; m < pkg.to; m++ {
			mid := &g.mids[m]
			inMid := 0
			for l := mid.from; l < mid.to; l++ {
				at := &g.leaves[l]
				at.value = tables.get(0, at.to-at.from, w.leaf, w.leafExp, w.untouched)
				inMid += at.to - at.from
			}
			mid.value = tables.get(1, inMid, w.mid, w.leafExp, 0)
			inPkg += inMid
		}
		pkg.value = tables.get(2, inPkg, w.pkg, w.pkgExp, 0)
	}
}

type tableKey struct{ level, capacity int }

// valueTables keeps one table for all domains of a level and size.
type valueTables map[tableKey][]int32

func (v valueTables) get(level, capacity int, weight, exp, untouched float64) []int32 {
	at := tableKey{level, capacity}
	if v[at] == nil {
		v[at] = make([]int32, capacity+1)
		for c := range v[at] {
			full := weight * float64(capacity) * valueScale
			v[at][c] = int32(full * math.Pow(float64(c)/float64(capacity), exp))
		}
		v[at][capacity] += int32(untouched * valueScale)
	}
	return v[at]
}
