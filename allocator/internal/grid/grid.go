// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

import (
	"cmp"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
)

// Options say what is given out, and how a job's cores are laid out.
type Options struct {
	WholeCores bool // a unit is a physical core, bound to one of its CPUs; else each CPU is a unit
	Scatter    bool // spread evenly over NUMA nodes; else packed into few domains
}

// Grid is the machine as placement sees it: a tree of three levels over the units,
// see the package's page. Except for the working space it is not changed once built.
type Grid struct {
	topo   *topology.Topology
	opts   Options
	units  []Unit
	unitOf []int  // by CPU index, topology.None where the CPU is in no unit
	first  Bitmap // the first unit of each core
	// threaded: cores may have more than one unit.
	threaded bool
	tree
	tiers []tier // in the order of preference; see buildTiers
	work  scratch
}

// tree is the domains of the units.
type tree struct {
	leaves []leaf
	bits   []leafBits // of the leaves, close together for speed
	mids   []domain   // ranges of leaves
	pkgs   []domain   // ranges of mids
	nodes  int        // number of NUMA nodes
	l3s    int        // number of L3 caches
	widest int        // units of the largest leaf

	leavesInWord []interval // leaves that lie, wholly or in part, in each word of a Bitmap
	// nodeFirst is false where the leaf is the NUMA node: then the fewest leaves
	// come before the fewest middle domains.
	nodeFirst bool
	nested    bool // every cache lies in one NUMA node, every node in one package

	nodeList   []int   // all nodes
	nodeLeaves [][]int // leaves by node
	leafWords  int     // of a Bitmap of leaves that are in use
	leafScore  []int32 // leaf.score of the largest leaf
}

// leaf is the smallest domain: what a package, a NUMA node and an L3 cache have in
// common.
type leaf struct {
	from, to int // units
	mid, pkg int
	node, l3 int     // numbered from 0 in the order of the tree
	score    []int32 // of its free units, by their number
}

// leafBits is the place of a leaf in a Bitmap of units.
type leafBits struct {
	mask     uint64 // bits of the word all units lie in, 0 where they lie in several
	word     int
	from, to int
	parts    []interval // of a leaf in several words: at most 64 units, whole cores
}

// interval is a range, of units or of leaves.
type interval struct{ from, to int }

// domain is a range of the next lower level.
type domain struct {
	from, to int
	score    []int32 // of its free units, by their number
	leaves   Bitmap  // of a middle domain
}

// New builds the grid of the managed CPUs.
func New(topo *topology.Topology, managed cpuset.Set, opts Options) *Grid {
	g := &Grid{topo: topo, opts: opts, tree: tree{nodeFirst: !cachesSpanNodes(topo)}}
	for number, core := range topo.CoreSets() {
		usable := core.Intersect(managed)
		if usable.IsEmpty() {
			continue
		}
		if opts.WholeCores {
			g.units = append(g.units, Unit{Bind: usable.First(), Held: usable, core: number})
			continue
		}
		g.threaded = g.threaded || usable.Len() > 1
		for index := range usable.All() {
			g.units = append(g.units, Unit{Bind: index, Held: cpuset.Of(index), core: number})
		}
	}
	slices.SortStableFunc(g.units, g.compare)
	g.unitOf = slices.Repeat([]int{topology.None}, cpuset.MaxCPUs)
	for i, u := range g.units {
		for index := range u.Held.All() {
			g.unitOf[index] = i
		}
		if i == 0 || u.core != g.units[i-1].core {
			g.first.Set(i)
		}
	}
	g.partition()
	g.indexLeaves()
	g.score(defaultWeights)
	g.buildTiers()
	g.work = newScratch(g)
	return g
}

// cachesSpanNodes reports whether L3 caches are wider than NUMA nodes.
func cachesSpanNodes(topo *topology.Topology) bool {
	wide := false
	for _, l3 := range topo.L3Sets() {
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
func (g *Grid) cpu(u Unit) topology.CPU {
	cpu, _ := g.topo.CPU(u.Bind)
	return cpu
}

// compare orders units by their place in the machine. The kernel's numbers of
// packages, nodes and caches come before those of CPUs, so that another
// numbering of the CPUs leaves the order of the domains as it is.
func (g *Grid) compare(x, y Unit) int {
	a, b := g.cpu(x), g.cpu(y)
	node := cmp.Compare(a.NUMANode, b.NUMANode)
	l3 := cmp.Or(cmp.Compare(a.L3ID, b.L3ID), cmp.Compare(a.L3, b.L3))
	if !g.nodeFirst {
		node, l3 = l3, node
	}
	return cmp.Or(cmp.Compare(a.Package, b.Package), node, l3,
		cmp.Compare(a.Core, b.Core), cmp.Compare(a.Index, b.Index))
}

// partition divides the units into leaves, middle domains and packages.
func (g *Grid) partition() {
	nodes, l3s := numbering{}, numbering{}
	var last topology.CPU
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
			if cpu.L3 != topology.None {
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
}

// indexLeaves fills the tables by which leaves are found.
func (g *Grid) indexLeaves() {
	g.leafWords = (len(g.leaves) + 63) >> 6
	g.nodeLeaves = make([][]int, g.nodes)
	for node := range g.nodes {
		g.nodeList = append(g.nodeList, node)
	}
	for l := range g.leaves {
		at := &g.leaves[l]
		word, mask := oneWord(at.from, at.to)
		g.bits = append(g.bits, leafBits{mask: mask, word: word, from: at.from, to: at.to})
		if mask == 0 {
			g.bits[l].parts = g.parts(at.from, at.to)
		}
		g.widest = max(g.widest, at.to-at.from)
		g.nodeLeaves[at.node] = append(g.nodeLeaves[at.node], l)
		g.mids[at.mid].leaves.Set(l)
		for w := at.from >> 6; w <= (at.to-1)>>6; w++ {
			if w == len(g.leavesInWord) {
				g.leavesInWord = append(g.leavesInWord, interval{from: l})
			}
			g.leavesInWord[w].to = l + 1
		}
	}
}

// parts divides a range of units between cores. (Only a broken sysfs has a core of
// more than 64 threads, which is divided, too.)
func (g *Grid) parts(from, to int) (list []interval) {
	for from < to {
		end := min(from+64, to)
		for end < to && end > from && !g.first.Has(end) {
			end--
		}
		if end == from {
			end = min(from+64, to)
		}
		list = append(list, interval{from, end})
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
