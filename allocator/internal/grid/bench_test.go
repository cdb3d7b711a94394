// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
)

// decision is one placement on a machine with about half of its cores busy.
type decision struct {
	cpus, ask int
	shape     topologytest.Shape
}

var decisions = []decision{
	{32, 8, topologytest.Of(1, 1, 2, 8, 2)},
	{128, 16, topologytest.Of(1, 2, 4, 8, 2)},
	{512, 64, topologytest.Of(2, 4, 4, 8, 2)},
	{1024, 64, topologytest.Of(4, 4, 4, 8, 2)},
}

// halfBusy returns states of the machine in which about half of the units are free,
// at least as many as a job asks for.
func halfBusy(g *Grid, ask int) []*Free {
	r := rand.New(rand.NewSource(1))
	states := make([]*Free, 64)
	for i := range states {
		states[i] = g.NewFree()
		for states[i].Len() < ask {
			free := Bitmap{}
			for u := range g.units {
				if r.Intn(2) == 0 {
					free.Set(u)
				}
			}
			states[i].Set(&free)
		}
	}
	return states
}

// everyOptions are the four ways to place.
var everyOptions = []Options{
	{WholeCores: true}, {WholeCores: true, Scatter: true}, {}, {Scatter: true},
}

// String names the benchmarks as agents' configurations do.
func (o Options) String() string {
	layout, smt := "pack", "share"
	if o.Scatter {
		layout = "scatter"
	}
	if o.WholeCores {
		smt = "isolate"
	}
	return layout + "/" + smt
}

// eachDecision runs a benchmark for all options and sizes.
func eachDecision(b *testing.B, run func(b *testing.B, g *Grid, states []*Free, ask int)) {
	for _, opts := range everyOptions {
		for _, d := range decisions {
			b.Run(fmt.Sprintf("%s/%d_CPUs_ask_%d", opts, d.cpus, d.ask), func(b *testing.B) {
				topo := d.shape.Topology()
				must.Eq(b, d.cpus, topo.LogicalCores())
				g := New(topo, topo.Online, opts)
				states := halfBusy(g, d.ask)
				b.ReportAllocs()
				run(b, g, states, d.ask)
			})
		}
	}
}

// BenchmarkDecision is the placement decision by itself: which free cores.
func BenchmarkDecision(b *testing.B) {
	eachDecision(b, func(b *testing.B, g *Grid, states []*Free, ask int) {
		for i := 0; b.Loop(); i++ {
			if _, ok := g.Place(states[i%len(states)], ask); !ok {
				b.Fatal("no room")
			}
		}
	})
}

// BenchmarkDecisionTakeGive is the decision, and what it costs to keep the sums
// it begins with: the job's cores taken out, and given back again.
func BenchmarkDecisionTakeGive(b *testing.B) {
	eachDecision(b, func(b *testing.B, g *Grid, states []*Free, ask int) {
		for i := 0; b.Loop(); i++ {
			state := states[i%len(states)]
			was := state.units
			p, _ := g.Place(state, ask)
			left := was
			for w := range left {
				left[w] &^= p.Units[w]
			}
			state.Set(&left)
			state.Set(&was)
		}
	})
}

// TestDecision_doesNotAllocate keeps what the benchmark shows.
func TestDecision_doesNotAllocate(t *testing.T) {
	for _, opts := range everyOptions {
		for _, d := range decisions {
			topo := d.shape.Topology()
			g := New(topo, topo.Online, opts)
			states := halfBusy(g, d.ask)
			none := Bitmap{}
			i := 0
			allocs := testing.AllocsPerRun(100, func() {
				state := states[i%len(states)]
				free := state.units
				g.Place(state, d.ask)
				state.Set(&none)
				state.Set(&free)
				i++
			})
			must.Eq(t, 0, allocs, must.Sprintf("%v, %d CPUs", opts, d.cpus))
		}
	}
}
