// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

import (
	"math/bits"
	"math/rand"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
)

// smallMachines are made of at most 16 leaves, most of them of at most 16 cores.
func smallMachines() map[string]*topology.Topology {
	m := map[string]*topology.Topology{
		"2 packages, 2 nodes, 2 caches":     topologytest.Of(2, 2, 2, 2, 1).Topology(),
		"1 package, 4 nodes, 2 caches":      topologytest.Of(1, 4, 2, 2, 1).Topology(),
		"4 packages, 1 node, 2 caches":      topologytest.Of(4, 1, 2, 2, 1).Topology(),
		"8 packages of 2 cores":             topologytest.Of(8, 1, 1, 2, 1).Topology(),
		"2 packages, 4 nodes, cores single": topologytest.Of(2, 4, 2, 1, 1).Topology(),
		"1 package, 8 nodes, cores single":  topologytest.Of(1, 8, 2, 1, 1).Topology(),
		"3 packages, 5 caches of 1 core":    topologytest.Of(3, 1, 5, 1, 1).Topology(),
		"1 cache":                           topologytest.Of(1, 1, 1, 16, 1).Topology(),
		"128 cores, 8 nodes, 16 caches":     topologytest.Of(2, 4, 2, 8, 1).Topology(),
		"48 cores, 4 nodes, 16 caches":      topologytest.Of(2, 2, 4, 3, 1).Topology(),
	}
	m["one node over 4 packages"] = topologytest.Relabel(topologytest.Of(4, 1, 2, 2, 1).Topology(), func(c *topology.CPU) { c.NUMANode = 0 })
	m["2 nodes over 4 packages"] = topologytest.Relabel(topologytest.Of(4, 1, 2, 2, 1).Topology(), func(c *topology.CPU) { c.NUMANode = c.Package % 2 })
	m["caches over 2 nodes each"] = topologytest.Relabel(topologytest.Of(2, 4, 1, 2, 1).Topology(), func(c *topology.CPU) { c.L3 /= 2; c.L3ID = c.L3 })
	m["a cache over all nodes of a package"] = topologytest.Relabel(topologytest.Of(2, 4, 1, 2, 1).Topology(), func(c *topology.CPU) { c.L3 = c.Package; c.L3ID = c.L3 })
	m["no L3 caches"] = topologytest.Relabel(topologytest.Of(2, 2, 1, 4, 1).Topology(), func(c *topology.CPU) { c.L3 = topology.None; c.L3ID = topology.None })
	return m
}

// placeOn places n units on the CPUs that are free.
func placeOn(t *testing.T, g *Grid, free cpuset.Set, n int) (p Placement, cpus cpuset.Set) {
	t.Helper()
	units := g.Without(g.topo.Online.Difference(free))
	stock := g.NewFree()
	stock.Set(&units)
	p, ok := g.Place(stock, n)
	must.True(t, ok)
	cpus, _ = g.CPUs(&p.Units)
	return p, cpus
}

// TestPack_equalsTheExhaustiveOptimum is invariant 9: no set of free cores spans
// fewer packages, or as many packages and fewer nodes, or as many of both and
// fewer caches, than the one that is chosen.
func TestPack_equalsTheExhaustiveOptimum(t *testing.T) {
	r := rand.New(rand.NewSource(5))
	for name, topo := range smallMachines() {
		t.Run(name, func(t *testing.T) {
			g := New(topo, topo.Online, Options{WholeCores: true})
			trials := 120
			if topo.PhysicalCores() > 16 {
				trials = 40
			}
			for range trials {
				free := patchyPart(r, topo)
				n := 1 + r.Intn(free.Len())
				p, cpus := placeOn(t, g, free, n)
				must.True(t, cpus.SubsetOf(free))
				e := g.extentOf(&p.Units)
				got := key{pkgs: e.packages, nodes: e.nodes, l3s: e.l3s}
				want := optimum(topo, free, n)
				must.Eq(t, want, got, must.Sprintf("%d of %s: %s", n, free, cpus))
			}
		})
	}
}

// TestPack_fewerNodesComeBeforeFewerCaches, also where another package offers the
// job fewer caches on more nodes.
func TestPack_fewerNodesComeBeforeFewerCaches(t *testing.T) {
	topo := topologytest.Of(2, 2, 4, 3, 1).Topology()
	g := New(topo, topo.Online, Options{WholeCores: true})
	twoNodes, oneNode := cpuset.Of(0, 1, 2, 12, 13, 14), cpuset.Of(24, 25, 27, 28, 30, 33)
	_, cpus := placeOn(t, g, twoNodes.Union(oneNode), 6)
	must.Eq(t, oneNode.String(), cpus.String())
}

// patchyPart leaves much of some caches out and little of others.
func patchyPart(r *rand.Rand, topo *topology.Topology) cpuset.Set {
	part := topologytest.RandomPart(r, topo.Online, 2+r.Intn(4))
	for _, l3 := range topo.L3Sets() {
		if r.Intn(3) == 0 {
			part = part.Difference(topologytest.RandomPart(r, l3, 4))
		}
	}
	if part.IsEmpty() {
		return topo.Online
	}
	return part
}

// optimum tries every set of domains: all that a set of cores spans can be had
// by using each of its smallest pieces up.
func optimum(topo *topology.Topology, free cpuset.Set, n int) key {
	type place struct{ pkg, node, l3 int }
	index := map[place]int{}
	var places []place
	var room []int
	for cpu := range free.All() {
		c, _ := topo.CPU(cpu)
		at := place{c.Package, c.NUMANode, c.L3}
		if c.L3 == topology.None {
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
		topo := topologytest.Of(1+r.Intn(2), 1+r.Intn(4), 1+r.Intn(3), 1+r.Intn(6), 1).Topology()
		g := New(topo, topo.Online, Options{WholeCores: true, Scatter: true})
		free := topologytest.RandomPart(r, topo.Online, 3)
		_, cpus := placeOn(t, g, free, 1+r.Intn(free.Len()))
		even := func(groups []cpuset.Set) {
			for _, x := range groups {
				for _, y := range groups {
					mine, theirs := x.Intersect(cpus).Len(), y.Intersect(cpus).Len()
					if y.Intersect(free).Len() > theirs && mine > theirs+1 {
						t.Fatalf("%s of %s: %s gives %d, %s gives %d", cpus, free, x, mine, y, theirs)
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
