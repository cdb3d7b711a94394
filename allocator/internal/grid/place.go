// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

// Placement is the result of one decision. It is valid until the Free it was made
// from changes.
type Placement struct {
	Units Bitmap
	n     int
	tier  *tier
	free  *counts // of the tier
}

// Place picks n of the free units by the layout: all of the first tier that has as
// many, and of its part without timer tick where that costs nothing. It reports
// whether a tier has as many.
func (g *Grid) Place(from *Free, n int) (p Placement, ok bool) {
	at := 0
	for at < len(g.tiers) && (g.tiers[at].ticklessPart || from.counts[at].total < n) {
		at++
	}
	if at == len(g.tiers) {
		return p, false
	}
	p.n, p.tier, p.free = n, &g.tiers[at], &from.counts[at]
	g.placeOn(p.free, &p.Units, n)
	tickless := p.tier.tickless
	if tickless == 0 || from.counts[tickless].total < n {
		return p, true
	}
	var quiet Bitmap
	g.placeOn(&from.counts[tickless], &quiet, n)
	if g.extentOf(&quiet) == g.extentOf(&p.Units) {
		p.Units, p.tier, p.free = quiet, &g.tiers[tickless], &from.counts[tickless]
	}
	return p, true
}

// placeOn picks n units of a tier.
func (g *Grid) placeOn(free *counts, picked *Bitmap, n int) {
	g.work.counts = free
	if g.opts.Scatter {
		g.scatter(n)
	} else {
		g.pack(n)
	}
	g.collect(picked)
}

// extent is what units span, and for those that are to be spread how evenly.
type extent struct {
	packages, nodes, l3s int
	most                 int // units in one leaf, where they are spread
}

func (g *Grid) extentOf(picked *Bitmap) (e extent) {
	s := &g.work
	s.mark++
	for l := range g.leaves {
		at := &g.leaves[l]
		n := picked.Count(at.from, at.to)
		if n == 0 {
			continue
		}
		e.nodes += s.firstVisit(at.node)
		e.l3s += s.firstVisit(g.nodes + at.l3)
		e.packages += s.firstVisit(g.nodes + g.l3s + len(g.mids) + at.pkg)
		if g.opts.Scatter {
			e.most = max(e.most, n)
		}
	}
	return e
}

// Facts are what explains a placement.
type Facts struct {
	Packages, NUMANodes, L3s      int    // that it spans
	AllNUMANodes, AllL3s          int    // that the grid has
	PackagesWithRoom, L3sWithRoom int    // that had enough free units of the same kind for the whole job
	Note                          string // about the kind of cores; "" where there is nothing to say
}

// Facts returns what explains a placement.
func (g *Grid) Facts(p *Placement) Facts {
	e := g.extentOf(&p.Units)
	l3Free := g.work.l3Free
	clear(l3Free)
	for i := range g.leaves {
		l3Free[g.leaves[i].l3] += p.free.leaf[i]
	}
	return Facts{
		Packages: e.packages, NUMANodes: e.nodes, L3s: e.l3s, AllNUMANodes: g.nodes, AllL3s: g.l3s,
		PackagesWithRoom: atLeast(p.free.pkg, p.n), L3sWithRoom: atLeast(l3Free, p.n), Note: p.tier.note,
	}
}

// atLeast counts the domains with n free units or more.
func atLeast(free []int, n int) int {
	count := 0
	for _, f := range free {
		if f >= n {
			count++
		}
	}
	return count
}
