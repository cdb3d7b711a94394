// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"fmt"
	"strings"
)

// reason says in words why these units: what the job spans, what kept it from
// spanning less, and what kind of cores they are. It reads the survey that place
// made.
func (g *grid) reason(picked *bitmap, t *tier, n int, opts Options) string {
	e := g.extentOf(picked, opts.scatter())
	packages, nodes, l3s := e.packages, e.nodes, e.l3s
	var parts []string
	if opts.scatter() {
		parts = append(parts, fmt.Sprintf("spread evenly over %s and %s", plural(nodes, "NUMA node"), plural(l3s, "L3 cache")))
	} else {
		parts = append(parts, g.packReason(n, packages, nodes, l3s))
	}
	if idle := g.idleSiblings(picked); idle > 0 {
		parts = append(parts, plural(idle, "sibling thread")+" left idle")
	}
	if t.note != "" {
		parts = append(parts, t.note)
	}
	return strings.Join(parts, "; ")
}

// packReason names the smallest domain that holds the job and, where that is
// not the smallest there is, why no smaller one does.
func (g *grid) packReason(n, packages, nodes, l3s int) string {
	s := &g.s
	switch {
	case l3s == 1 && g.l3s == 1:
		return "the machine has one L3 cache"
	case l3s == 1:
		if room := atLeast(g.freeByL3(), n); room > 1 {
			return fmt.Sprintf("fits one L3 cache, the tightest of %d with room", room)
		}
		return "fits one L3 cache, the only one with room"
	case nodes == 1 && g.nodes > 1:
		return fmt.Sprintf("no L3 cache has %s free, so %d L3 caches of one NUMA node", plural(n, "core"), l3s)
	case nodes == 1 || packages == 1 && g.nodes == 1:
		return fmt.Sprintf("no L3 cache has %s free, so %d L3 caches", plural(n, "core"), l3s)
	case packages == 1:
		return fmt.Sprintf("no NUMA node has %s free, so %d NUMA nodes and %d L3 caches of one package", plural(n, "core"), nodes, l3s)
	case atLeast(s.pkg, n) == 0:
		return fmt.Sprintf("no package has %s free, so %d packages, %s and %s", plural(n, "core"), packages, plural(nodes, "NUMA node"), plural(l3s, "L3 cache"))
	}
	return fmt.Sprintf("%d packages, %s and %s", packages, plural(nodes, "NUMA node"), plural(l3s, "L3 cache"))
}

// freeByL3 returns the surveyed free units of each L3 cache.
func (g *grid) freeByL3() []int {
	free := make([]int, g.l3s)
	for i := range g.leaves {
		free[g.leaves[i].l3] += g.s.leaf[i]
	}
	return free
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

// idleSiblings counts the CPUs that the units hold and no job is bound to.
func (g *grid) idleSiblings(picked *bitmap) int {
	bind, held := g.cpusOf(picked)
	return held.Len() - bind.Len()
}
