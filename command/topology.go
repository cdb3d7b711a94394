// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
)

const topologyHelp = `USAGE
  nomad-driver-lsdyna topology [-sysfs DIR] [-json]

DESCRIPTION
  Draws the machine as the driver sees it: a column for each physical core, a
  row for each of its hardware threads, "|" between L3 caches. What sysfs does not
  tell is filled in as well as can be, with a warning on stderr.

OPTIONS
  -sysfs DIR  Read a captured tree instead of /sys: DIR/devices/system/cpu and
              DIR/devices/system/node.
  -json       An object with packages, numa_nodes, physical_cores,
              logical_cores, hyper_threading_enabled and cpus: for each CPU
              index, online, package, die, numa_node, core, l3, siblings, kind
              (performance or efficiency). core numbers physical cores from 0
              over the whole machine. What an offline CPU does not have is null.

EXIT STATUS
  0; 1 when there is no CPU to be found; 2 for a wrong call.

EXAMPLES
  nomad-driver-lsdyna topology
  tar -C /tmp/node7 -xf node7-sys.tar && nomad-driver-lsdyna topology -sysfs /tmp/node7
`

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
	screen := screenOf(s.out)
	lines := append(wrap(describeMachine(topo), screen.width, 0), nil)
	lines = append(lines, drawTopology(topo, screen)...)
	return write(s.out, screen.render(lines))
}

// discover reads the machine and tells the warnings.
func discover(sysfs string, s streams) (*topology.Topology, error) {
	topo, warnings, err := topology.Discover(sysfs)
	for _, w := range warnings {
		fmt.Fprintf(s.err, "warning: %s\n", clean(w))
	}
	return topo, err
}

// describeMachine says what a machine has, in one line.
func describeMachine(topo *topology.Topology) string {
	threads := "no hyper-threading"
	if topo.HyperThreading() {
		threads = "hyper-threading"
	}
	parts := []string{
		plural(topo.Packages(), "socket"), plural(len(topo.Nodes), "NUMA node"),
		plural(topo.PhysicalCores(), "core"), plural(topo.LogicalCores(), "CPU"), threads,
	}
	return strings.Join(parts, ", ")
}

// drawTopology draws the machine with the L3 cache of each core as its cell.
func drawTopology(topo *topology.Topology, screen screen) []line {
	d := drawing{
		topo: topo, screen: screen,
		cell: func(cpu topology.CPU) cell {
			switch {
			case topo.Isolated.Contains(cpu.Index):
				return cell{glyph: 'i', style: yellow, means: "isolated (isolcpus)"}
			case cpu.Siblings.First() != cpu.Index:
				return cell{glyph: screen.pick('·', '.'), style: dim, means: "second thread of the core above"}
			case cpu.Kind == topology.Efficiency:
				return cell{glyph: 'e', style: cyan, means: "efficiency core"}
			case topo.NoHzFull.Contains(cpu.Index):
				return cell{glyph: 'n', style: green, means: "core without timer tick (nohz_full)"}
			}
			return cell{glyph: screen.pick('■', 'o'), style: green, means: "core"}
		},
		caption: func(cpus cpuset.Set) string { return plural(coresAmong(topo, cpus), "core") },
	}
	lines := d.draw()
	var kept []string
	if !topo.Isolated.IsEmpty() {
		kept = append(kept, "Isolated from the scheduler (isolcpus): cpu "+topo.Isolated.String()+
			". Given out only where cores.usable names them, and not mixed with others in one job.")
	}
	if !topo.NoHzFull.IsEmpty() {
		kept = append(kept, "Without timer tick (nohz_full): cpu "+topo.NoHzFull.String()+
			". Preferred where a job fits there as well as elsewhere.")
	}
	for _, words := range kept {
		lines = append(lines, wrap(words, screen.width, 2)...)
	}
	return lines
}

// coresAmong counts the physical cores that CPUs belong to.
func coresAmong(topo *topology.Topology, cpus cpuset.Set) int {
	seen := map[int]bool{}
	for index := range cpus.All() {
		if cpu, ok := topo.CPU(index); ok && cpu.Online {
			seen[cpu.Core] = true
		}
	}
	return len(seen)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
