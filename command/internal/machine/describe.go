// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package machine

import (
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
)

// Describe says what a machine has, in one line.
func Describe(topo *topology.Topology) string {
	threads := "no hyper-threading"
	if topo.HyperThreading() {
		threads = "hyper-threading"
	}
	parts := []string{
		screen.Plural(topo.Packages(), "socket"), screen.Plural(len(topo.Nodes), "NUMA node"),
		screen.Plural(topo.PhysicalCores(), "core"), screen.Plural(topo.LogicalCores(), "CPU"), threads,
	}
	return strings.Join(parts, ", ")
}

// CountCores counts the physical cores that CPUs belong to.
func CountCores(topo *topology.Topology, cpus cpuset.Set) int {
	seen := map[int]bool{}
	for index := range cpus.All() {
		if cpu, ok := topo.CPU(index); ok && cpu.Online {
			seen[cpu.Core] = true
		}
	}
	return len(seen)
}
