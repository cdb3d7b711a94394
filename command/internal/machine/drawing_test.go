// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package machine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
)

// checkDrawing holds for the drawing of every machine: every online CPU is drawn
// once, with the width that the screen has.
func checkDrawing(t *testing.T, topo *topology.Topology, width int) {
	t.Helper()
	drawn := map[int]int{}
	out := screen.Screen{Width: width}
	d := Drawing{
		Topology: topo, Screen: out,
		Cell: func(cpu topology.CPU) Cell {
			drawn[cpu.Index]++
			return Cell{Glyph: 'o', Meaning: "core"}
		},
		Caption: func(cpus cpuset.Set) string {
			return fmt.Sprintf("%[1]d of %[1]d free", CountCores(topo, cpus))
		},
	}
	for l := range strings.Lines(out.Render(d.Draw())) {
		must.LessEq(t, width, len(strings.TrimSuffix(l, "\n")), must.Sprintf("width %d: %q", width, l))
	}
	for _, cpu := range topo.CPUs {
		want := 0
		if cpu.Online {
			want = 1
		}
		must.Eq(t, want, drawn[cpu.Index], must.Sprintf("cpu %d", cpu.Index))
	}
}

func TestDrawing_fitsEveryMachineAndWidth(t *testing.T) {
	for name, m := range map[string]topologytest.Machine{
		"one core":              {Shape: topologytest.Of(1, 1, 1, 1, 1)},
		"two cores":             {Shape: topologytest.Of(1, 1, 1, 2, 1)},
		"two sockets with SMT":  {Shape: topologytest.Of(2, 1, 1, 4, 2)},
		"one large cache":       {Shape: topologytest.Of(1, 1, 1, 96, 1)},
		"sixteen nodes":         {Shape: topologytest.Of(2, 8, 1, 6, 2)},
		"512 CPUs":              {Shape: topologytest.Of(2, 1, 16, 8, 2)},
		"hybrid, two offline":   {Shape: topologytest.Of(1, 1, 1, 6, 2), Efficiency: 8, Offline: "20,21"},
		"four threads per core": {Shape: topologytest.Of(1, 2, 1, 5, 4)},
	} {
		t.Run(name, func(t *testing.T) {
			topo, _, err := topology.Discover(m.Sysfs(t))
			must.NoError(t, err)
			for width := screen.MinWidth; width <= 200; width += 7 {
				checkDrawing(t, topo, width)
			}
		})
	}
}

func TestDrawing_groupsByCacheAndNode(t *testing.T) {
	topo, _, err := topology.Discover(topologytest.Of(2, 2, 2, 3, 1).Sysfs(t))
	must.NoError(t, err)
	draw := func(width int) string {
		d := Drawing{
			Topology: topo, Screen: screen.Screen{Width: width},
			Cell: func(topology.CPU) Cell { return Cell{Glyph: 'o', Meaning: "core"} },
		}
		return d.Screen.Render(d.Draw())
	}
	must.Eq(t, strings.TrimPrefix(`
Socket 0
  node 0  cpu 0-5    o o o | o o o
  node 1  cpu 6-11   o o o | o o o
Socket 1
  node 2  cpu 12-17  o o o | o o o
  node 3  cpu 18-23  o o o | o o o
o core   | between L3 caches
`, "\n"), draw(80))
}
