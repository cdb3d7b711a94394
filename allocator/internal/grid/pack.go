// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

import (
	"math/bits"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
)

// key orders selections: fewer packages, then NUMA nodes, then L3 caches, then
// the higher score of what stays free.
type key struct {
	pkgs, nodes, l3s int
	score            int
}

func (k key) better(o key) bool {
	switch {
	case k.pkgs != o.pkgs:
		return k.pkgs < o.pkgs
	case k.nodes != o.nodes:
		return k.nodes < o.nodes
	case k.l3s != o.l3s:
		return k.l3s < o.l3s
	}
	return k.score > o.score
}

// pack finds the selection of n units that spans the fewest packages, then NUMA
// nodes, then L3 caches, and leaves the rest with the highest score. Enough
// units are free. Where there are too many subsets of packages or nodes to try all,
// the spans may be larger than the optimum.
func (g *Grid) pack(n int) {
	s := &g.work
	s.best.found = false
	s.pkgAll = s.pkgAll[:0]
	for p := range g.pkgs {
		s.pkgAll = append(s.pkgAll, p)
	}
	s.pkgPick.start(s.pkgAll, s.pkg, fewest(s.pkgAll, s.pkg, n), len(g.leaves))
	for s.pkgPick.next(n) {
		g.tryPackages(n)
	}
	s.used = s.best.leaves
	for _, l := range s.best.leaves {
		s.take[l] = s.leaf[l]
	}
	s.take[s.best.partial] -= s.best.surplus
}

// tryPackages tries the picked packages.
func (g *Grid) tryPackages(n int) {
	s := &g.work
	s.midAll = s.midAll[:0]
	leaves := 0
	for _, p := range s.pkgPick.picked {
		for m := g.pkgs[p].from; m < g.pkgs[p].to; m++ {
			if s.mid[m] > 0 {
				s.midAll = append(s.midAll, m)
				leaves += g.mids[m].to - g.mids[m].from
			}
		}
	}
	k := fewest(s.midAll, s.mid, n)
	if s.best.found && g.nested && k > s.best.key.nodes {
		return // spans more nodes than the best so far
	}
	if g.nodeFirst {
		s.midPick.start(s.midAll, s.mid, k, leaves)
		for s.midPick.next(n) {
			g.tryMids(n)
		}
		return
	}
	// The leaves are the NUMA nodes: as few of them as the packages allow, and
	// of those selections one on the fewest caches.
	g.fillPool(s.midAll)
	least := g.greedy(n)
	for ; k <= len(s.midAll); k++ {
		hit := false
		s.midPick.start(s.midAll, s.mid, k, leaves)
		for s.midPick.next(n) {
			hit = g.tryMids(n) == least || hit
		}
		if hit {
			return
		}
	}
}

// tryMids tries the picked middle domains and returns the number of leaves.
func (g *Grid) tryMids(n int) int {
	s := &g.work
	g.fillPool(s.midPick.picked)
	used := g.greedy(n)
	if s.best.found && g.nested && len(s.midPick.picked) == s.best.key.nodes && used > s.best.key.l3s {
		return used // spans more caches than the best so far, and no fewer nodes
	}
	for s.pool.counted < len(s.classes) {
		g.countClass()
	}
	surplus := g.tighten(n)
	g.listChosen(g.usesWholeLeaves(n))
	g.consider(surplus)
	return used
}

// usesWholeLeaves reports whether n units use up whole leaves.
func (g *Grid) usesWholeLeaves(n int) bool { return n%g.widest == 0 }

// fillPool makes the leaves of the middle domains the pool.
func (g *Grid) fillPool(mids []int) {
	s := &g.work
	for w := range g.leafWords {
		s.pool.leaves[w] = 0
		for _, m := range mids {
			s.pool.leaves[w] |= g.mids[m].leaves[w]
		}
	}
}

// greedy chooses the fewest leaves of the pool that have n free units: the
// fullest. It returns their number. The pool has enough. Leaves with the same number
// of free units are equal, so classes are counted, and only those needed.
func (g *Grid) greedy(n int) (used int) {
	s := &g.work
	s.pool.counted = 0
	for n > 0 {
		c := s.classes[s.pool.counted]
		use := g.countClass()
		if use*c > n {
			use = (n + c - 1) / c
		}
		s.pool.use[s.pool.counted-1] = use
		n -= use * c
		used += use
	}
	return used
}

// countClass counts the leaves of the next class in the pool.
func (g *Grid) countClass() (have int) {
	s := &g.work
	for w, leaves := range s.classWords(g, s.classes[s.pool.counted]) {
		have += bits.OnesCount64(leaves & s.pool.leaves[w])
	}
	s.pool.have[s.pool.counted], s.pool.use[s.pool.counted] = have, 0
	s.pool.counted++
	return have
}

// tighten exchanges chosen leaves for others with fewer free units as long as n
// units still fit, the exchange that gains most first. It returns how many units the
// chosen leaves have beyond n.
func (g *Grid) tighten(n int) (surplus int) {
	s := &g.work
	for i, c := range s.classes {
		surplus += s.pool.use[i] * c
	}
	surplus -= n
	for surplus > 0 {
		from, to, gain := topology.None, topology.None, 0
		for i, a := range s.classes {
			if s.pool.use[i] == 0 {
				continue
			}
			for j := i + 1; j < len(s.classes) && a-s.classes[j] <= surplus; j++ {
				if v := g.exchangeGain(a, s.classes[j], surplus); v > gain && s.pool.use[j] < s.pool.have[j] {
					from, to, gain = i, j, v
				}
			}
		}
		if from == topology.None {
			break
		}
		s.pool.use[from]--
		s.pool.use[to]++
		surplus -= s.classes[from] - s.classes[to]
	}
	return surplus
}

// exchangeGain returns the score gained when a leaf with b free units is used
// instead of one with a, the surplus staying free in it.
func (g *Grid) exchangeGain(a, b, surplus int) int {
	v := g.leafScore
	return int(v[a]) - int(v[b]) - int(v[surplus]) + int(v[surplus-a+b])
}

// listChosen writes down which leaves of each class are chosen. Among equals, jobs
// that use up whole leaves begin at one end of the machine and others at the other
// end, so that whole leaves stay free.
func (g *Grid) listChosen(ascending bool) {
	s := &g.work
	s.pool.chosen = s.pool.chosen[:0]
	for i, c := range s.classes {
		left := s.pool.use[i]
		for w := 0; w < g.leafWords && left > 0; w++ {
			at := w
			if !ascending {
				at = g.leafWords - 1 - w
			}
			for word := s.class[c*g.leafWords+at] & s.pool.leaves[at]; word != 0 && left > 0; left-- {
				bit := bits.TrailingZeros64(word)
				if !ascending {
					bit = 63 - bits.LeadingZeros64(word)
				}
				word &^= 1 << bit
				s.pool.chosen = append(s.pool.chosen, at<<6+bit)
			}
		}
	}
}

// consider makes the chosen leaves the selection if they are better than the best
// so far. The surplus stays free in one of them.
func (g *Grid) consider(surplus int) {
	s := &g.work
	k := g.evaluate()
	partial, gain := g.partialLeaf(surplus)
	k.score += gain
	if s.best.found && !k.better(s.best.key) {
		return
	}
	s.best.found, s.best.key = true, k
	s.best.leaves = append(s.best.leaves[:0], s.pool.chosen...)
	s.best.partial, s.best.surplus = partial, surplus
}

// evaluate returns the key of a selection that uses the chosen leaves up.
func (g *Grid) evaluate() key {
	s := &g.work
	k := key{}
	for _, m := range s.midPick.picked {
		s.midLoss[m] = 0
	}
	for _, p := range s.pkgPick.picked {
		s.pkgLoss[p] = 0
	}
	s.mark++
	for i, c := range s.classes {
		k.score += s.pool.use[i] * (int(g.leafScore[0]) - int(g.leafScore[c]))
	}
	for _, l := range s.pool.chosen {
		at := &g.leaves[l]
		s.midLoss[at.mid] += s.leaf[l]
		s.pkgLoss[at.pkg] += s.leaf[l]
		if !g.nested {
			k.nodes += s.firstVisit(at.node)
			k.l3s += s.firstVisit(g.nodes + at.l3)
		}
	}
	if g.nested {
		k.l3s = len(s.pool.chosen)
	}
	for _, m := range s.midPick.picked {
		if loss := s.midLoss[m]; loss > 0 {
			if g.nested {
				k.nodes++
			}
			k.score += int(g.mids[m].score[s.mid[m]-loss]) - int(g.mids[m].score[s.mid[m]])
		}
	}
	for _, p := range s.pkgPick.picked {
		if loss := s.pkgLoss[p]; loss > 0 {
			k.pkgs++
			k.score += int(g.pkgs[p].score[s.pkg[p]-loss]) - int(g.pkgs[p].score[s.pkg[p]])
			k.score += g.concentration(p, loss)
		}
	}
	return k
}

// concentration returns the score of a job that spans several packages for n units
// in one of them: most of them should be in one. It only decides between placements
// that leave the machine equally useful.
func (g *Grid) concentration(p, n int) int {
	if len(g.work.pkgPick.picked) == 1 {
		return 0
	}
	return int(g.pkgs[p].score[n]) >> 7
}

// partialLeaf returns in which of the chosen leaves the surplus stays free, and the
// score that it gains there.
func (g *Grid) partialLeaf(surplus int) (leaf, gain int) {
	s := &g.work
	if surplus == 0 {
		return s.pool.chosen[0], 0
	}
	leaf, gain = topology.None, 0
	s.mark++
	for _, l := range s.pool.chosen {
		at := &g.leaves[l]
		// The leaf must stay in use. Leaves of one middle domain are alike.
		if s.leaf[l] <= surplus || s.firstVisit(g.nodes+g.l3s+at.mid) == 0 {
			continue
		}
		left, leftPkg := s.mid[at.mid]-s.midLoss[at.mid], s.pkg[at.pkg]-s.pkgLoss[at.pkg]
		v := int(at.score[surplus]) - int(at.score[0]) +
			int(g.mids[at.mid].score[left+surplus]) - int(g.mids[at.mid].score[left]) +
			int(g.pkgs[at.pkg].score[leftPkg+surplus]) - int(g.pkgs[at.pkg].score[leftPkg])
		v += g.concentration(at.pkg, s.pkgLoss[at.pkg]-surplus) - g.concentration(at.pkg, s.pkgLoss[at.pkg])
		if leaf == topology.None || v > gain {
			leaf, gain = l, v
		}
	}
	return leaf, gain
}
