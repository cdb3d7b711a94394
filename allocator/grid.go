// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"cmp"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// grid is the machine as placement sees it: a tree of three levels over the
// units. On most machines they are package, NUMA node, L3 cache. Where a cache
// spans several NUMA nodes (sub-NUMA clustering) the middle level is the cache
// and the leaf the node; where a node spans several packages the middle level is
// the package. Except for the scratch space it is not changed once built; it
// belongs to one allocator and is used under its lock.
type grid struct {
	topo   *Topology
	units  []unit
	unitOf []int // by CPU index, None where the CPU is in no unit

	leaves []leaf
	spans  []span   // of the leaves, close together for speed
	mids   []domain // ranges of leaves
	pkgs   []domain // ranges of mids
	nodes  int      // number of NUMA nodes
	l3s    int      // number of L3 caches
	widest int      // units of the largest leaf
	first  bitmap   // the first unit of each core

	leavesAt []piece // leaves that lie, wholly or in part, in each word of a bitmap
	// threaded: cores may have more than one unit, as in share mode.
	threaded bool
	// nodeFirst is false where the leaf is the NUMA node: then the fewest leaves
	// come before the fewest middle domains.
	nodeFirst bool
	nested    bool // every cache lies in one NUMA node, every node in one package

	nodeList   []int   // all nodes
	nodeLeaves [][]int // leaves by node
	leafWords  int     // of a bitmap of leaves that are in use
	leafValue  []int32 // leaf.value of the largest leaf

	tiers []tier // in the order of preference; see tiersOf
	s     scratch
}

// leaf is the smallest piece of the machine that is told apart: what a package,
// a NUMA node and an L3 cache have in common.
type leaf struct {
	from, to int // units
	mid, pkg int
	node, l3 int     // numbered from 0 in the order of the tree
	value    []int32 // of its free units, by their number
}

// span is the place of a leaf in a bitmap of units.
type span struct {
	mask     uint64 // bits of the word all units lie in, 0 where they lie in several
	word     int
	from, to int
	pieces   []piece // of a leaf in several words: at most 64 units, whole cores
}

// piece is a range, of units or of leaves.
type piece struct{ from, to int }

// domain is a range of the next lower level.
type domain struct {
	from, to int
	value    []int32 // of its free units, by their number
	leaves   bitmap  // of a middle domain
}

// tier is a class of units a job may be placed on as a whole.
type tier struct {
	mask  bitmap
	note  string // for the reason, "" where there is nothing to say
	quiet int    // index of the tier that is the part of this one without timer tick, 0 for none
	part  bool   // it is such a part
}

// newGrid lays the managed CPUs out for the given options.
func newGrid(topo *Topology, managed cpuset.Set, opts Options) *grid {
	g := &grid{topo: topo, nodeFirst: !cachesSpanNodes(topo)}
	for number, core := range topo.cores {
		usable := core.Intersect(managed)
		if usable.IsEmpty() {
			continue
		}
		if opts.isolate() {
			g.units = append(g.units, unit{bind: usable.First(), held: usable, core: number})
			continue
		}
		g.threaded = g.threaded || usable.Len() > 1
		for index := range usable.All() {
			g.units = append(g.units, unit{bind: index, held: cpuset.Of(index), core: number})
		}
	}
	slices.SortStableFunc(g.units, g.compare)
	g.unitOf = slices.Repeat([]int{None}, cpuset.MaxCPUs)
	for i, u := range g.units {
		for index := range u.held.All() {
			g.unitOf[index] = i
		}
		if i == 0 || u.core != g.units[i-1].core {
			g.first.set(i)
		}
	}
	g.cut()
	g.appraise(tuned)
	g.tiersOf(opts)
	g.s.make(g)
	return g
}

// cachesSpanNodes tells whether L3 caches are wider than NUMA nodes.
func cachesSpanNodes(topo *Topology) bool {
	wide := false
	for _, l3 := range topo.l3s {
		wide = wide || len(topo.NodesOf(l3)) > 1
	}
	for _, node := range topo.Nodes {
		caches := map[int]bool{}
		for index := range node.CPUs.All() {
			if cpu, _ := topo.CPU(index); cpu.NUMANode == node.ID {
				caches[cpu.L3] = true
			}
		}
		if len(caches) > 1 {
			return false
		}
	}
	return wide
}

// cpu returns the CPU whose place stands for the unit's.
func (g *grid) cpu(u unit) CPU {
	cpu, _ := g.topo.CPU(u.bind)
	return cpu
}

// compare orders units by their place in the machine. The kernel's numbers of
// packages, nodes and caches come before those of CPUs, so that another
// numbering of the CPUs leaves the order of the domains as it is.
func (g *grid) compare(x, y unit) int {
	a, b := g.cpu(x), g.cpu(y)
	node := cmp.Compare(a.NUMANode, b.NUMANode)
	l3 := cmp.Or(cmp.Compare(a.l3ID, b.l3ID), cmp.Compare(a.L3, b.L3))
	if !g.nodeFirst {
		node, l3 = l3, node
	}
	return cmp.Or(cmp.Compare(a.Package, b.Package), node, l3,
		cmp.Compare(a.Core, b.Core), cmp.Compare(a.Index, b.Index))
}

// cut divides the units into leaves, middle domains and packages.
func (g *grid) cut() {
	nodes, l3s := numbering{}, numbering{}
	var last CPU
	for i := range g.units {
		cpu := g.cpu(g.units[i])
		newPkg := i == 0 || cpu.Package != last.Package
		newNode := newPkg || cpu.NUMANode != last.NUMANode
		newL3 := newPkg || cpu.L3 != last.L3
		newMid := newNode
		if !g.nodeFirst {
			newMid = newL3
		}
		last = cpu
		if newPkg {
			g.pkgs = append(g.pkgs, domain{from: len(g.mids)})
		}
		if newMid {
			g.mids = append(g.mids, domain{from: len(g.leaves)})
		}
		if newNode || newL3 {
			at := leaf{from: i, mid: len(g.mids) - 1, pkg: len(g.pkgs) - 1, node: nodes.of(cpu.NUMANode)}
			if cpu.L3 != None {
				at.l3 = l3s.of(cpu.L3)
			} else { // without an L3 the node's part of the package stands for it
				at.l3 = l3s.of(-2 - at.pkg*cpuset.MaxCPUs - at.node)
			}
			g.leaves = append(g.leaves, at)
		}
		g.leaves[len(g.leaves)-1].to = i + 1
		g.mids[len(g.mids)-1].to = len(g.leaves)
		g.pkgs[len(g.pkgs)-1].to = len(g.mids)
	}
	g.nodes, g.l3s = len(nodes), len(l3s)
	g.nested = g.nodeFirst && g.nodes == len(g.mids) && g.l3s == len(g.leaves)
	g.leafWords = (len(g.leaves) + 63) >> 6
	g.nodeLeaves = make([][]int, g.nodes)
	for node := range g.nodes {
		g.nodeList = append(g.nodeList, node)
	}
	for l := range g.leaves {
		at := &g.leaves[l]
		word, mask := oneWord(at.from, at.to)
		g.spans = append(g.spans, span{mask: mask, word: word, from: at.from, to: at.to})
		if mask == 0 {
			g.spans[l].pieces = g.pieces(at.from, at.to)
		}
		g.widest = max(g.widest, at.to-at.from)
		g.nodeLeaves[at.node] = append(g.nodeLeaves[at.node], l)
		g.mids[at.mid].leaves.set(l)
		for w := at.from >> 6; w <= (at.to-1)>>6; w++ {
			if w == len(g.leavesAt) {
				g.leavesAt = append(g.leavesAt, piece{from: l})
			}
			g.leavesAt[w].to = l + 1
		}
	}
}

// pieces cuts a range of units between cores. (Only a broken sysfs has a core of
// more than 64 threads, which is cut, too.)
func (g *grid) pieces(from, to int) (list []piece) {
	for from < to {
		end := min(from+64, to)
		for end < to && end > from && !g.first.has(end) {
			end--
		}
		if end == from {
			end = min(from+64, to)
		}
		list = append(list, piece{from, end})
		from = end
	}
	return list
}

// numbering gives names the numbers 0, 1, 2 … in the order they are first seen.
type numbering map[int]int

func (n numbering) of(name int) int {
	if _, ok := n[name]; !ok {
		n[name] = len(n)
	}
	return n[name]
}
