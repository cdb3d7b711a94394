// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"math/bits"
	"math/rand"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// relabel changes which nodes and caches the cores of a machine belong to, for
// machines whose levels do not nest in the usual order.
func relabel(topo *Topology, change func(*CPU)) *Topology {
	nodes := map[int]*NUMANode{}
	for i := range topo.CPUs {
		change(&topo.CPUs[i])
	}
	topo.Nodes = nil
	for _, cpu := range topo.CPUs {
		if nodes[cpu.NUMANode] == nil {
			nodes[cpu.NUMANode] = &NUMANode{ID: cpu.NUMANode}
		}
		nodes[cpu.NUMANode].CPUs.Add(cpu.Index)
	}
	for id := range cpuset.MaxCPUs {
		if nodes[id] != nil {
			topo.Nodes = append(topo.Nodes, *nodes[id])
		}
	}
	topo.index()
	return topo
}

// smallMachines are made of at most 16 leaves, most of them of at most 16 cores.
func smallMachines() map[string]*Topology {
	m := map[string]*Topology{
		"2 packages, 2 nodes, 2 caches":     shape{2, 2, 2, 2, 1}.topology(),
		"1 package, 4 nodes, 2 caches":      shape{1, 4, 2, 2, 1}.topology(),
		"4 packages, 1 node, 2 caches":      shape{4, 1, 2, 2, 1}.topology(),
		"8 packages of 2 cores":             shape{8, 1, 1, 2, 1}.topology(),
		"2 packages, 4 nodes, cores single": shape{2, 4, 2, 1, 1}.topology(),
		"1 package, 8 nodes, cores single":  shape{1, 8, 2, 1, 1}.topology(),
		"3 packages, 5 caches of 1 core":    shape{3, 1, 5, 1, 1}.topology(),
		"1 cache":                           shape{1, 1, 1, 16, 1}.topology(),
		"128 cores, 8 nodes, 16 caches":     shape{2, 4, 2, 8, 1}.topology(),
		"48 cores, 4 nodes, 16 caches":      shape{2, 2, 4, 3, 1}.topology(),
	}
	m["one node over 4 packages"] = relabel(shape{4, 1, 2, 2, 1}.topology(), func(c *CPU) { c.NUMANode = 0 })
	m["2 nodes over 4 packages"] = relabel(shape{4, 1, 2, 2, 1}.topology(), func(c *CPU) { c.NUMANode = c.Package % 2 })
	m["caches over 2 nodes each"] = relabel(shape{2, 4, 1, 2, 1}.topology(), func(c *CPU) { c.L3 /= 2; c.l3ID = c.L3 })
	m["a cache over all nodes of a package"] = relabel(shape{2, 4, 1, 2, 1}.topology(), func(c *CPU) { c.L3 = c.Package; c.l3ID = c.L3 })
	m["no L3 caches"] = relabel(shape{2, 2, 1, 4, 1}.topology(), func(c *CPU) { c.L3 = None; c.l3ID = None })
	return m
}

// TestPack_equalsTheExhaustiveOptimum is invariant 9: no set of free cores spans
// fewer packages, or as many packages and fewer nodes, or as many of both and
// fewer caches, than the one that is chosen.
func TestPack_equalsTheExhaustiveOptimum(t *testing.T) {
	r := rand.New(rand.NewSource(5))
	for name, topo := range smallMachines() {
		t.Run(name, func(t *testing.T) {
			a := New(topo, topo.Online, Options{})
			trials := 120
			if topo.PhysicalCores() > 16 {
				trials = 40
			}
			for range trials {
				free := patchyPart(r, topo)
				n := 1 + r.Intn(free.Len())
				lease, err := a.Plan(n, topo.Online.Difference(free))
				must.NoError(t, err)
				must.True(t, lease.CPUs.SubsetOf(free))
				packages, nodes, l3s := domains(topo, lease.CPUs)
				got := key{pkgs: packages, nodes: nodes, l3s: l3s}
				want := optimum(topo, free, n)
				must.Eq(t, want, got, must.Sprintf("%d of %s: %s", n, free, lease.CPUs))
			}
		})
	}
}

// TestPack_fewerNodesComeBeforeFewerCaches, also where another package offers the
// job fewer caches on more nodes.
func TestPack_fewerNodesComeBeforeFewerCaches(t *testing.T) {
	topo := shape{2, 2, 4, 3, 1}.topology()
	a := New(topo, topo.Online, Options{})
	twoNodes, oneNode := cpuset.Of(0, 1, 2, 12, 13, 14), cpuset.Of(24, 25, 27, 28, 30, 33)
	lease, err := a.Plan(6, topo.Online.Difference(twoNodes.Union(oneNode)))
	must.NoError(t, err)
	must.Eq(t, oneNode.String(), lease.CPUs.String())
}

// patchyPart leaves much of some caches out and little of others.
func patchyPart(r *rand.Rand, topo *Topology) cpuset.Set {
	part := randomPart(r, topo.Online, 2+r.Intn(4))
	for _, l3 := range topo.L3Sets() {
		if r.Intn(3) == 0 {
			part = part.Difference(randomPart(r, l3, 4))
		}
	}
	if part.IsEmpty() {
		return topo.Online
	}
	return part
}

// optimum tries every set of domains: all that a set of cores spans can be had
// by using each of its smallest pieces up.
func optimum(topo *Topology, free cpuset.Set, n int) key {
	type place struct{ pkg, node, l3 int }
	index := map[place]int{}
	var places []place
	var room []int
	for cpu := range free.All() {
		c, _ := topo.CPU(cpu)
		at := place{c.Package, c.NUMANode, c.L3}
		if c.L3 == None {
			at.l3 = 1000 + c.Package*100 + c.NUMANode
		}
		if _, ok := index[at]; !ok {
			index[at] = len(places)
			places, room = append(places, at), append(room, 0)
		}
		room[index[at]]++
	}
	packages, nodes, l3s := numbering{}, numbering{}, numbering{}
	best := key{pkgs: 1 << 20}
	for set := uint64(1); set < 1<<len(places); set++ {
		sum := 0
		var p, o, c uint64
		for w := set; w != 0; w &= w - 1 {
			i := bits.TrailingZeros64(w)
			at := places[i]
			sum += room[i]
			p |= 1 << packages.of(at.pkg)
			o |= 1 << nodes.of(at.node)
			c |= 1 << l3s.of(at.l3)
		}
		k := key{pkgs: bits.OnesCount64(p), nodes: bits.OnesCount64(o), l3s: bits.OnesCount64(c)}
		if sum >= n && k.better(best) {
			best = k
		}
	}
	return best
}

// TestScatter_isEven: no node gives two cores more than another that has room,
// and no cache two more than another of its node.
func TestScatter_isEven(t *testing.T) {
	r := rand.New(rand.NewSource(6))
	for range 300 {
		topo := shape{1 + r.Intn(2), 1 + r.Intn(4), 1 + r.Intn(3), 1 + r.Intn(6), 1}.topology()
		a := New(topo, topo.Online, Options{Layout: LayoutScatter})
		free := randomPart(r, topo.Online, 3)
		lease, err := a.Plan(1+r.Intn(free.Len()), topo.Online.Difference(free))
		must.NoError(t, err)
		even := func(groups []cpuset.Set) {
			for _, x := range groups {
				for _, y := range groups {
					mine, theirs := x.Intersect(lease.CPUs).Len(), y.Intersect(lease.CPUs).Len()
					if y.Intersect(free).Len() > theirs && mine > theirs+1 {
						t.Fatalf("%s of %s: %s gives %d, %s gives %d", lease.CPUs, free, x, mine, y, theirs)
					}
				}
			}
		}
		var nodes []cpuset.Set
		for _, node := range topo.Nodes {
			nodes = append(nodes, node.CPUs)
			var caches []cpuset.Set
			for _, l3 := range topo.L3Sets() {
				if l3.SubsetOf(node.CPUs) {
					caches = append(caches, l3)
				}
			}
			even(caches)
		}
		even(nodes)
	}
}

// TestPack_meetsTheBars keeps the figures that BenchmarkQuality shows.
func TestPack_meetsTheBars(t *testing.T) {
	for _, m := range qualityMachines {
		t.Run(m.name, func(t *testing.T) {
			s := m.measure(t, 1, 2, 3)
			must.LessEq(t, m.maxPkg, percent(s.packages, s.jobs), must.Sprint("% that straddle sockets"))
			must.LessEq(t, m.maxNode, percent(s.nodes, s.jobs), must.Sprint("% that straddle NUMA nodes"))
			must.LessEq(t, m.max, percent(s.l3s, s.jobs), must.Sprint("% that straddle L3 caches"))
		})
	}
}
