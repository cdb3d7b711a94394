// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

import (
	"math/bits"
	"math/rand"
	"slices"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
)

// randomOptions returns one of the four ways to place.
func randomOptions(r *rand.Rand) Options {
	return everyOptions[r.Intn(len(everyOptions))]
}

// randomUnits returns some of a grid's units.
func randomUnits(r *rand.Rand, g *Grid) (units Bitmap) {
	outOf := 1 + r.Intn(4)
	for u := range g.units {
		if r.Intn(outOf) == 0 {
			units.Set(u)
		}
	}
	return units
}

// TestFree_keepsTheSumsThatCountingGives: however units come and go, the sums are
// those of a count from the beginning.
func TestFree_keepsTheSumsThatCountingGives(t *testing.T) {
	r := rand.New(rand.NewSource(8))
	machines := []*topology.Topology{topologytest.Of(2, 1, 2, 96, 2).Topology(), topologytest.Of(4, 4, 4, 8, 2).Topology()}
	for range 100 {
		machines = append(machines, topologytest.Random(r))
	}
	for _, topo := range machines {
		g := New(topo, topologytest.RandomPart(r, topo.Online, 8), randomOptions(r))
		kept := g.NewFree()
		for range 20 {
			free := randomUnits(r, g)
			kept.Set(&free)
			must.Eq(t, free, kept.units)
			for i := range g.tiers {
				must.Eq(t, countTier(g, free.And(&g.tiers[i].mask)), kept.counts[i])
			}
		}
	}
}

// countTier counts unit by unit.
func countTier(g *Grid, free Bitmap) counts {
	t := g.NewFree().counts[0]
	t.free = free
	for l := range g.leaves {
		at := &g.leaves[l]
		n := 0
		for u := at.from; u < at.to; u++ {
			if free.Has(u) {
				n++
			}
		}
		t.leaf[l] = n
		t.mid[at.mid] += n
		t.pkg[at.pkg] += n
		t.node[at.node] += n
		t.total += n
		if n > 0 {
			t.class[n*g.leafWords+l>>6] |= 1 << (l & 63)
			t.filled.Set(n - 1)
			t.classes = append(t.classes, n)
		}
	}
	slices.Sort(t.classes)
	t.classes = slices.Compact(t.classes)
	slices.Reverse(t.classes)
	return t
}

// TestPickThreads_wholeCoresThenPartialOnes compares the arithmetic on words with a walk
// over the cores.
func TestPickThreads_wholeCoresThenPartialOnes(t *testing.T) {
	r := rand.New(rand.NewSource(9))
	for range 20000 {
		size := 1 + r.Intn(64)
		from := r.Intn(65 - size)
		leaf := ^uint64(0) >> (64 - size) << from
		first := r.Uint64() | r.Uint64()&r.Uint64() // other leaves' cores around it
		first |= leaf & -leaf
		free := (r.Uint64() | r.Uint64()) & leaf
		n := r.Intn(bits.OnesCount64(free) + 1)
		must.Eq(t, walkThreads(free, leaf, first, n), pickThreads(free, leaf, first, n),
			must.Sprintf("%d of %b in %b, cores begin at %b", n, free, leaf, first))
	}
}

func walkThreads(free, leaf, first uint64, n int) (taken uint64) {
	var cores []uint64
	for b := uint64(1); b != 0; b <<= 1 {
		if first&leaf&b != 0 {
			cores = append(cores, 0)
		}
		if leaf&b != 0 {
			cores[len(cores)-1] |= b
		}
	}
	take := func(units uint64) {
		for ; units != 0 && n > 0; units &= units - 1 {
			taken |= units & -units
			n--
		}
	}
	for _, core := range cores {
		if free&core == core && bits.OnesCount64(core) <= n {
			take(core)
		}
	}
	for _, core := range cores {
		if free&core != core {
			take(free & core)
		}
	}
	take(free &^ taken)
	return taken
}
