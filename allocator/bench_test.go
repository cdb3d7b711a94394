// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/shoenig/test/must"
)

// decision is one placement on a machine with about half of its cores busy.
type decision struct {
	cpus, ask int
	shape     shape
}

var decisions = []decision{
	{32, 8, shape{1, 1, 2, 8, 2}},
	{128, 16, shape{1, 2, 4, 8, 2}},
	{512, 64, shape{2, 4, 4, 8, 2}},
	{1024, 64, shape{4, 4, 4, 8, 2}},
}

// halfBusy returns states of the machine in which about half of the units are free,
// at least as many as a job asks for.
func halfBusy(g *grid, ask int) []*stock {
	r := rand.New(rand.NewSource(1))
	states := make([]*stock, 64)
	for i := range states {
		states[i] = g.newStock()
		for states[i].count() < ask {
			free := bitmap{}
			for u := range g.units {
				if r.Intn(2) == 0 {
					free.set(u)
				}
			}
			states[i].set(&free)
		}
	}
	return states
}

// BenchmarkDecision is the placement decision by itself: which free cores.
func BenchmarkDecision(b *testing.B) {
	for _, layout := range []Layout{LayoutPack, LayoutScatter} {
		for _, d := range decisions {
			b.Run(fmt.Sprintf("%s/%d_CPUs_ask_%d", layout, d.cpus, d.ask), func(b *testing.B) {
				topo := d.shape.topology()
				must.Eq(b, d.cpus, topo.LogicalCores())
				opts := Options{Layout: layout}
				g := newGrid(topo, topo.Online, opts)
				states := halfBusy(g, d.ask)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, tier := g.place(states[i%len(states)], d.ask, opts.scatter()); tier == nil {
						b.Fatal("no room")
					}
				}
			})
		}
	}
}

// BenchmarkAllocateRelease is what a caller pays: the decision, its reason in
// words, and the bookkeeping.
func BenchmarkAllocateRelease(b *testing.B) {
	for _, d := range decisions {
		b.Run(fmt.Sprintf("%d_CPUs_ask_%d", d.cpus, d.ask), func(b *testing.B) {
			topo := d.shape.topology()
			a := New(topo, topo.Online, Options{})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Allocate("job", d.ask); err != nil {
					b.Fatal(err)
				}
				a.Release("job")
			}
		})
	}
}

// TestDecision_doesNotAllocate keeps what the benchmark shows.
func TestDecision_doesNotAllocate(t *testing.T) {
	for _, layout := range []Layout{LayoutPack, LayoutScatter} {
		for _, d := range decisions {
			topo := d.shape.topology()
			opts := Options{Layout: layout}
			g := newGrid(topo, topo.Online, opts)
			states := halfBusy(g, d.ask)
			i := 0
			allocs := testing.AllocsPerRun(100, func() {
				g.place(states[i%len(states)], d.ask, opts.scatter())
				i++
			})
			must.Eq(t, 0, allocs, must.Sprintf("%s, %d CPUs", layout, d.cpus))
		}
	}
}
