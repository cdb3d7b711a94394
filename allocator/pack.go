// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import "math/bits"

// key orders selections: fewer packages, then NUMA nodes, then L3 caches, then
// the higher value of what stays free.
type key struct {
	pkgs, nodes, l3s int
	value            int
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
	return k.value > o.value
}

// pack finds the selection of n units that spans the fewest packages, then NUMA
// nodes, then L3 caches, and leaves the most valuable rest. Enough units are
// free. Where subsets of packages or nodes are too many to try all, the spans
// may be larger than the optimum.
func (g *grid) pack(n int) {
	s := &g.s
	s.found = false
	s.pkgAll = s.pkgAll[:0]
	for p := range g.pkgs {
		s.pkgAll = append(s.pkgAll, p)
	}
	s.pkgPick.start(s.pkgAll, s.pkg, fewest(s.pkgAll, s.pkg, n), len(g.leaves))
	for s.pkgPick.next(n) {
		g.packPackages(n)
	}
	s.used = s.best
	for _, l := range s.best {
		s.take[l] = s.leaf[l]
	}
	s.take[s.spare] -= s.waste
}

// packPackages tries the picked packages.
func (g *grid) packPackages(n int) {
	s := &g.s
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
	if s.found && g.nested && k > s.key.nodes {
		return // spans more nodes than the best so far
	}
	if g.nodeFirst {
		s.midPick.start(s.midAll, s.mid, k, leaves)
		for s.midPick.next(n) {
			g.packMids(n)
		}
		return
	}
	// The leaves are the NUMA nodes: as few of them as the packages allow, and
	// of those selections one on the fewest caches.
	g.gather(s.midAll)
	least := g.greedy(n)
	for ; k <= len(s.midAll); k++ {
		hit := false
		s.midPick.start(s.midAll, s.mid, k, leaves)
		for s.midPick.next(n) {
			hit = g.packMids(n) == least || hit
		}
		if hit {
			return
		}
	}
}

// packMids tries the picked middle domains and returns the number of leaves.
func (g *grid) packMids(n int) int {
	s := &g.s
	g.gather(s.midPick.picked)
	used := g.greedy(n)
	if s.found && g.nested && len(s.midPick.picked) == s.key.nodes && used > s.key.l3s {
		return used // spans more caches than the best so far, and no fewer nodes
	}
	for s.counted < len(s.classes) {
		g.countClass()
	}
	waste := g.tighten(n)
	g.list(g.whole(n))
	g.offer(waste)
	return used
}

// whole tells whether n units use up whole leaves.
func (g *grid) whole(n int) bool { return n%g.widest == 0 }

// gather makes a pool of the leaves of the middle domains.
func (g *grid) gather(mids []int) {
	s := &g.s
	for w := range g.leafWords {
		s.pool[w] = 0
		for _, m := range mids {
			s.pool[w] |= g.mids[m].leaves[w]
		}
	}
}

// greedy chooses the fewest leaves of the pool that have n free units: the
// fullest. It returns their number. The pool has enough. Leaves with the same
// number of free units are alike, so classes are counted, and only those needed.
func (g *grid) greedy(n int) (used int) {
	s := &g.s
	s.counted = 0
	for n > 0 {
		c := s.classes[s.counted]
		use := g.countClass()
		if use*c > n {
			use = (n + c - 1) / c
		}
		s.use[s.counted-1] = use
		n -= use * c
		used += use
	}
	return used
}

// countClass counts the leaves of the next class in the pool.
func (g *grid) countClass() (have int) {
	s := &g.s
	for w, leaves := range s.classWords(g, s.classes[s.counted]) {
		have += bits.OnesCount64(leaves & s.pool[w])
	}
	s.have[s.counted], s.use[s.counted] = have, 0
	s.counted++
	return have
}

// tighten exchanges chosen leaves for others with fewer free units as long as n
// units still fit, the exchange that leaves most value first. It returns the
// units that the chosen leaves have beyond n.
func (g *grid) tighten(n int) (waste int) {
	s := &g.s
	for i, c := range s.classes {
		waste += s.use[i] * c
	}
	waste -= n
	for waste > 0 {
		from, to, gain := None, None, 0
		for i, a := range s.classes {
			if s.use[i] == 0 {
				continue
			}
			for j := i + 1; j < len(s.classes) && a-s.classes[j] <= waste; j++ {
				if v := g.exchange(a, s.classes[j], waste); v > gain && s.use[j] < s.have[j] {
					from, to, gain = i, j, v
				}
			}
		}
		if from == None {
			break
		}
		s.use[from]--
		s.use[to]++
		waste -= s.classes[from] - s.classes[to]
	}
	return waste
}

// exchange returns the value gained when a leaf with b free units is used
// instead of one with a, the waste staying free in it.
func (g *grid) exchange(a, b, waste int) int {
	v := g.leafValue
	return int(v[a]) - int(v[b]) - int(v[waste]) + int(v[waste-a+b])
}

// list writes the chosen leaves down. Among equals, jobs that use up whole
// caches come from one end of the machine and others from the other, so that
// holes of whole caches arise.
func (g *grid) list(ascending bool) {
	s := &g.s
	s.chosen = s.chosen[:0]
	for i, c := range s.classes {
		left := s.use[i]
		for w := 0; w < g.leafWords && left > 0; w++ {
			at := w
			if !ascending {
				at = g.leafWords - 1 - w
			}
			for word := s.class[c*g.leafWords+at] & s.pool[at]; word != 0 && left > 0; left-- {
				bit := bits.TrailingZeros64(word)
				if !ascending {
					bit = 63 - bits.LeadingZeros64(word)
				}
				word &^= 1 << bit
				s.chosen = append(s.chosen, at<<6+bit)
			}
		}
	}
}

// offer makes the chosen leaves the selection if they are better than the best
// so far. The waste stays free in one of them.
func (g *grid) offer(waste int) {
	s := &g.s
	k := g.rate()
	spare, extra := g.spare(waste)
	k.value += extra
	if s.found && !k.better(s.key) {
		return
	}
	s.found, s.key = true, k
	s.best = append(s.best[:0], s.chosen...)
	s.spare, s.waste = spare, waste
}

// rate returns the key of a selection that uses the chosen leaves up.
func (g *grid) rate() key {
	s := &g.s
	k := key{}
	for _, m := range s.midPick.picked {
		s.midLoss[m] = 0
	}
	for _, p := range s.pkgPick.picked {
		s.pkgLoss[p] = 0
	}
	s.mark++
	for i, c := range s.classes {
		k.value += s.use[i] * (int(g.leafValue[0]) - int(g.leafValue[c]))
	}
	for _, l := range s.chosen {
		at := &g.leaves[l]
		s.midLoss[at.mid] += s.leaf[l]
		s.pkgLoss[at.pkg] += s.leaf[l]
		if !g.nested {
			k.nodes += s.first(at.node)
			k.l3s += s.first(g.nodes + at.l3)
		}
	}
	if g.nested {
		k.l3s = len(s.chosen)
	}
	for _, m := range s.midPick.picked {
		if loss := s.midLoss[m]; loss > 0 {
			if g.nested {
				k.nodes++
			}
			k.value += int(g.mids[m].value[s.mid[m]-loss]) - int(g.mids[m].value[s.mid[m]])
		}
	}
	for _, p := range s.pkgPick.picked {
		if loss := s.pkgLoss[p]; loss > 0 {
			k.pkgs++
			k.value += int(g.pkgs[p].value[s.pkg[p]-loss]) - int(g.pkgs[p].value[s.pkg[p]])
			k.value += g.lopsided(p, loss)
		}
	}
	return k
}

// lopsided returns what it is worth that a job that spans several packages has n
// of its units in one of them: it had better have most of them in one. It only
// decides between placements that leave the machine equally useful.
func (g *grid) lopsided(p, n int) int {
	if len(g.s.pkgPick.picked) == 1 {
		return 0
	}
	return int(g.pkgs[p].value[n]) >> 7
}

// first returns 1 when a domain is seen for the first time since mark changed.
func (s *scratch) first(domain int) int {
	if s.seen[domain] == s.mark {
		return 0
	}
	s.seen[domain] = s.mark
	return 1
}

// spare returns which of the chosen leaves the waste stays free in, and the
// value it has there.
func (g *grid) spare(waste int) (leaf, value int) {
	s := &g.s
	if waste == 0 {
		return s.chosen[0], 0
	}
	leaf, value = None, 0
	s.mark++
	for _, l := range s.chosen {
		at := &g.leaves[l]
		// The leaf must stay in use. Leaves of one middle domain are alike.
		if s.leaf[l] <= waste || s.first(g.nodes+g.l3s+at.mid) == 0 {
			continue
		}
		left, leftPkg := s.mid[at.mid]-s.midLoss[at.mid], s.pkg[at.pkg]-s.pkgLoss[at.pkg]
		v := int(at.value[waste]) - int(at.value[0]) +
			int(g.mids[at.mid].value[left+waste]) - int(g.mids[at.mid].value[left]) +
			int(g.pkgs[at.pkg].value[leftPkg+waste]) - int(g.pkgs[at.pkg].value[leftPkg])
		v += g.lopsided(at.pkg, s.pkgLoss[at.pkg]-waste) - g.lopsided(at.pkg, s.pkgLoss[at.pkg])
		if leaf == None || v > value {
			leaf, value = l, v
		}
	}
	return leaf, value
}
