// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"fmt"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/machine"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
)

func runTopology(_ context.Context, args []string, s streams) error {
	fs := newFlags("topology")
	sysfs := fs.String("sysfs", "", "")
	asJSON := fs.Bool("json", false, "")
	if err := parseOnly(fs, args); err != nil {
		return err
	}
	topo, err := discover(*sysfs, s)
	if err != nil {
		return err
	}
	if *asJSON {
		return writeJSON(s.out, topo)
	}
	out := screen.Of(s.out)
	lines := append(screen.Wrap(machine.Describe(topo), out.Width, 0), nil)
	lines = append(lines, drawTopology(topo, out)...)
	return write(s.out, out.Render(lines))
}

// discover reads the machine and writes the warnings.
func discover(sysfs string, s streams) (*topology.Topology, error) {
	topo, warnings, err := topology.Discover(sysfs)
	for _, w := range warnings {
		fmt.Fprintf(s.err, "warning: %s\n", screen.Clean(w))
	}
	return topo, err
}

// drawTopology draws the machine with the L3 cache of each core as its cell.
func drawTopology(topo *topology.Topology, out screen.Screen) []screen.Line {
	d := machine.Drawing{
		Topology: topo, Screen: out,
		Cell: func(cpu topology.CPU) machine.Cell {
			switch {
			case topo.Isolated.Contains(cpu.Index):
				return machine.Cell{Glyph: 'i', Style: screen.Yellow, Meaning: "isolated (isolcpus)"}
			case cpu.Siblings.First() != cpu.Index:
				return machine.Cell{Glyph: out.Pick('·', '.'), Style: screen.Dim, Meaning: "second thread of the core above"}
			case cpu.Kind == topology.Efficiency:
				return machine.Cell{Glyph: 'e', Style: screen.Cyan, Meaning: "efficiency core"}
			case topo.NoHzFull.Contains(cpu.Index):
				return machine.Cell{Glyph: 'n', Style: screen.Green, Meaning: "core without timer tick (nohz_full)"}
			}
			return machine.Cell{Glyph: out.Pick('■', 'o'), Style: screen.Green, Meaning: "core"}
		},
		Caption: func(cpus cpuset.Set) string { return screen.Plural(machine.CountCores(topo, cpus), "core") },
	}
	lines := d.Draw()
	var sentences []string
	if !topo.Isolated.IsEmpty() {
		sentences = append(sentences, "Isolated from the scheduler (isolcpus): cpu "+topo.Isolated.String()+
			". Given out only where cores.usable names them, and not mixed with others in one job.")
	}
	if !topo.NoHzFull.IsEmpty() {
		sentences = append(sentences, "Without timer tick (nohz_full): cpu "+topo.NoHzFull.String()+
			". Preferred where a job fits there as well as elsewhere.")
	}
	for _, sentence := range sentences {
		lines = append(lines, screen.Wrap(sentence, out.Width, 2)...)
	}
	return lines
}
