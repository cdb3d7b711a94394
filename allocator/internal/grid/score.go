// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

import "math"

// weights define the score of free units. Of all placements that span the fewest
// domains, the one is chosen that leaves the machine most useful for later jobs. The
// score of a domain grows faster than its number of free units: room for one large
// job is worth more than room for two small ones. So jobs gather in domains that are
// in use already. An L3 cache that nobody uses has an additional score. The numbers
// were found by simulation, on the traces of package allocator's BenchmarkQuality and
// on others; nearby numbers differ by chance only.
type weights struct {
	leaf, mid, pkg  float64 // of a unit in a domain that is all free
	leafExp, pkgExp float64 // how fast that falls with the domain's use
	untouched       float64 // of a leaf that is all free, beside its units
}

var defaultWeights = weights{leaf: 1.6, mid: 2.55, pkg: 1.25, leafExp: 2.6, pkgExp: 2.5, untouched: 3.5}

// scoreScale makes integers of the scores.
const scoreScale = 1000

// score fills the tables of the tree: the score of each number of free units.
func (g *Grid) score(w weights) {
	tables := scoreTables{}
	g.leafScore = tables.get(0, g.widest, w.leaf, w.leafExp, w.untouched)
	for p := range g.pkgs {
		pkg := &g.pkgs[p]
		inPkg := 0
		for m := pkg.from; m < pkg.to; m++ {
			mid := &g.mids[m]
			inMid := 0
			for l := mid.from; l < mid.to; l++ {
				at := &g.leaves[l]
				at.score = tables.get(0, at.to-at.from, w.leaf, w.leafExp, w.untouched)
				inMid += at.to - at.from
			}
			mid.score = tables.get(1, inMid, w.mid, w.leafExp, 0)
			inPkg += inMid
		}
		pkg.score = tables.get(2, inPkg, w.pkg, w.pkgExp, 0)
	}
}

type tableKey struct{ level, capacity int }

// scoreTables keeps one table for all domains of a level and size.
type scoreTables map[tableKey][]int32

func (v scoreTables) get(level, capacity int, weight, exp, untouched float64) []int32 {
	at := tableKey{level, capacity}
	if v[at] == nil {
		v[at] = make([]int32, capacity+1)
		for c := range v[at] {
			full := weight * float64(capacity) * scoreScale
			v[at][c] = int32(full * math.Pow(float64(c)/float64(capacity), exp))
		}
		v[at][capacity] += int32(untouched * scoreScale)
	}
	return v[at]
}
