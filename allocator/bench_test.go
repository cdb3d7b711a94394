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

// everyOptions are the four ways to place.
var everyOptions = []Options{
	{SMTIsolate, LayoutPack}, {SMTIsolate, LayoutScatter}, {SMTShare, LayoutPack}, {SMTShare, LayoutScatter},
}

// eachDecision runs a benchmark for all options and sizes.
func eachDecision(b *testing.B, run func(b *testing.B, g *grid, states []*stock, ask int, scatter bool)) {
	for _, opts := range everyOptions {
		for _, d := range decisions {
			b.Run(fmt.Sprintf("%s/%s/%d_CPUs_ask_%d", opts.Layout, opts.SMT, d.cpus, d.ask), func(b *testing.B) {
				topo := d.shape.topology()
				must.Eq(b, d.cpus, topo.LogicalCores())
				g := newGrid(topo, topo.Online, opts)
				states := halfBusy(g, d.ask)
				b.ReportAllocs()
				run(b, g, states, d.ask, opts.scatter())
			})
		}
	}
}

// BenchmarkDecision is the placement decision by itself: which free cores.
func BenchmarkDecision(b *testing.B) {
	eachDecision(b, func(b *testing.B, g *grid, states []*stock, ask int, scatter bool) {
		for i := 0; b.Loop(); i++ {
			if _, tier := g.place(states[i%len(states)], ask, scatter); tier == nil {
				b.Fatal("no room")
			}
		}
	})
}

// BenchmarkDecisionTakeGive is the decision, and what it costs to keep the sums
// it begins with: the job's cores taken out, and given back again.
func BenchmarkDecisionTakeGive(b *testing.B) {
	eachDecision(b, func(b *testing.B, g *grid, states []*stock, ask int, scatter bool) {
		for i := 0; b.Loop(); i++ {
			state := states[i%len(states)]
			was := state.units
			picked, _ := g.place(state, ask, scatter)
			left := was
			for w := range left {
				left[w] &^= picked[w]
			}
			state.set(&left)
			state.set(&was)
		}
	})
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
	for _, opts := range everyOptions {
		for _, d := range decisions {
			topo := d.shape.topology()
			g := newGrid(topo, topo.Online, opts)
			states := halfBusy(g, d.ask)
			none := bitmap{}
			i := 0
			allocs := testing.AllocsPerRun(100, func() {
				state := states[i%len(states)]
				free := state.units
				g.place(state, d.ask, opts.scatter())
				state.set(&none)
				state.set(&free)
				i++
			})
			must.Eq(t, 0, allocs, must.Sprintf("%v, %d CPUs", opts, d.cpus))
		}
	}
}
