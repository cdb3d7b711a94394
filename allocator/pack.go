// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

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

// searchLimit says how many subsets of domains are tried one by one; where there
// are more, the domains with most free units are taken. Trying one costs about
// as much as it has leaves, and on a machine with few leaves every subset tells.
func searchLimit(leaves int) int {
	const budget = 20000 // 16 leaves: 78 subsets, more than 4 of 8 domains have
	return budget / (leaves * leaves)
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
	s.pkgPick.start(s.pkgAll, s.pkg, fewest(s.pkgAll, s.pkg, n), searchLimit(len(g.leaves)))
	for s.pkgPick.next(n) {
		g.packPackages(n)
	}
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
	if g.nodeFirst {
		s.midPick.start(s.midAll, s.mid, k, searchLimit(leaves))
		for s.midPick.next(n) {
			g.packMids(n)
		}
		return
	}
	// The leaves are the NUMA nodes: as few of them as the packages allow, and
	// of those selections one on the fewest caches.
	g.fillPool(s.midAll, n)
	least := g.greedy(n)
	for ; k <= len(s.midAll); k++ {
		hit := false
		s.midPick.start(s.midAll, s.mid, k, searchLimit(leaves))
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
	g.fillPool(s.midPick.picked, n)
	used := g.greedy(n)
	if s.found && g.nested && used > s.key.l3s {
		return used // spans more caches than the best so far, and no fewer nodes
	}
	waste := g.tighten(n, used)
	g.offer(used, waste)
	return used
}

// fillPool lists the leaves of the middle domains that have free units, the one
// with most first. Among equals, jobs that use up whole caches come from one end
// of the machine and others from the other, so that holes of whole caches arise.
func (g *grid) fillPool(mids []int, n int) {
	s := &g.s
	s.pool = s.pool[:0]
	if len(mids) == 1 {
		mid := &g.mids[mids[0]]
		for _, l := range s.order[mid.from:mid.to] {
			if s.leaf[l] > 0 {
				s.pool = append(s.pool, l)
			}
		}
		return
	}
	heads := s.heads[:g.widest+2]
	clear(heads)
	total := 0
	for _, m := range mids {
		for l := g.mids[m].from; l < g.mids[m].to; l++ {
			if c := s.leaf[l]; c > 0 {
				heads[g.widest-c+1]++
				total++
			}
		}
	}
	for i := 1; i < len(heads); i++ {
		heads[i] += heads[i-1]
	}
	s.pool = s.pool[:total]
	for i := range mids {
		mid := &g.mids[mids[i]]
		if !g.whole(n) {
			mid = &g.mids[mids[len(mids)-1-i]]
		}
		for _, l := range s.order[mid.from:mid.to] {
			if c := s.leaf[l]; c > 0 {
				s.pool[heads[g.widest-c]] = l
				heads[g.widest-c]++
			}
		}
	}
}

// whole tells whether n units use up whole leaves.
func (g *grid) whole(n int) bool { return n%g.widest == 0 }

// greedy returns the fewest leaves of the pool that have n free units: the
// first ones. The pool has enough.
func (g *grid) greedy(n int) int {
	used := 0
	for ; n > 0; used++ {
		n -= g.s.leaf[g.s.pool[used]]
	}
	return used
}

// tighten exchanges chosen leaves (the first of the pool) for smaller ones as
// long as n units still fit, the exchange that leaves most value first. It
// returns the units the chosen leaves have beyond n.
func (g *grid) tighten(n, used int) (waste int) {
	s := &g.s
	for _, l := range s.pool[:used] {
		waste += s.leaf[l]
	}
	waste -= n
	for waste > 0 {
		from, to, gain := None, None, 0
		for i := used - 1; i >= 0; i-- {
			if i < used-1 && s.leaf[s.pool[i]] == s.leaf[s.pool[i+1]] {
				continue // the last of its size stands for all
			}
			for j := used; j < len(s.pool); j++ {
				if j > used && s.leaf[s.pool[j]] == s.leaf[s.pool[j-1]] {
					continue // the first of its size stands for all
				}
				if v := g.exchange(s.pool[i], s.pool[j], waste); v > gain {
					from, to, gain = i, j, v
				}
			}
		}
		if from == None {
			return waste
		}
		waste -= s.leaf[s.pool[from]] - s.leaf[s.pool[to]]
		s.swap(from, to, used)
	}
	return waste
}

// exchange returns the value gained when leaf b is used instead of a.
func (g *grid) exchange(a, b, waste int) int {
	s := &g.s
	saved := s.leaf[a] - s.leaf[b]
	if saved <= 0 || saved > waste {
		return 0
	}
	va, vb := g.leaves[a].value, g.leaves[b].value
	v := int(va[s.leaf[a]]) - int(vb[s.leaf[b]])
	return v - int(va[waste]) + int(va[waste-saved])
}

// swap exchanges two leaves of the pool and keeps both its parts in order.
func (s *scratch) swap(from, to, used int) {
	a, b := s.pool[from], s.pool[to]
	i := from
	for ; i+1 < used && s.leaf[s.pool[i+1]] > s.leaf[b]; i++ {
		s.pool[i] = s.pool[i+1]
	}
	s.pool[i] = b
	j := to
	for ; j > used && s.leaf[s.pool[j-1]] < s.leaf[a]; j-- {
		s.pool[j] = s.pool[j-1]
	}
	s.pool[j] = a
}

// offer makes the first leaves of the pool the selection if they are better
// than the best so far. The waste stays free in one of them.
func (g *grid) offer(used, waste int) {
	s := &g.s
	k := g.rate(used)
	spare, extra := g.spare(used, waste)
	k.value += extra
	if s.found && !k.better(s.key) {
		return
	}
	s.found, s.key = true, k
	clear(s.take)
	for _, l := range s.pool[:used] {
		s.take[l] = s.leaf[l]
	}
	s.take[s.pool[spare]] -= waste
}

// rate returns the key of a selection that uses the leaves up.
func (g *grid) rate(used int) key {
	s := &g.s
	k := key{}
	clear(s.midLoss)
	clear(s.pkgLoss)
	s.mark++
	for _, l := range s.pool[:used] {
		at, c := &g.leaves[l], s.leaf[l]
		k.value += int(at.value[0]) - int(at.value[c])
		s.midLoss[at.mid] += c
		s.pkgLoss[at.pkg] += c
		k.nodes += s.first(at.node)
		k.l3s += s.first(g.nodes + at.l3)
	}
	for m, loss := range s.midLoss {
		if loss > 0 {
			k.value += int(g.mids[m].value[s.mid[m]-loss]) - int(g.mids[m].value[s.mid[m]])
		}
	}
	for p, loss := range s.pkgLoss {
		if loss > 0 {
			k.pkgs++
			k.value += int(g.pkgs[p].value[s.pkg[p]-loss]) - int(g.pkgs[p].value[s.pkg[p]])
			k.value += g.lean(p, loss)
		}
	}
	return k
}

// lean returns what it is worth that the job has n units of a package: a small
// job goes to the first packages, a large one to the last; one that spans
// several packages has as many of its units as possible in one.
func (g *grid) lean(p, n int) int {
	if len(g.s.pkgPick.picked) > 1 {
		return int(g.pkgs[p].value[n]) >> 7
	}
	return int(g.pkgs[p].apart[n])
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
func (g *grid) spare(used, waste int) (leaf, value int) {
	s := &g.s
	leaf, value = None, 0
	for i, l := range s.pool[:used] {
		if s.leaf[l] <= waste {
			continue // the leaf must stay in use
		}
		at := &g.leaves[l]
		left, leftPkg := s.mid[at.mid]-s.midLoss[at.mid], s.pkg[at.pkg]-s.pkgLoss[at.pkg]
		v := int(at.value[waste]) - int(at.value[0]) +
			int(g.mids[at.mid].value[left+waste]) - int(g.mids[at.mid].value[left]) +
			int(g.pkgs[at.pkg].value[leftPkg+waste]) - int(g.pkgs[at.pkg].value[leftPkg])
		v += g.lean(at.pkg, s.pkgLoss[at.pkg]-waste) - g.lean(at.pkg, s.pkgLoss[at.pkg])
		if leaf == None || v > value {
			leaf, value = i, v
		}
	}
	return leaf, value
}
