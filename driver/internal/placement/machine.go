// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/affinity"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/nomadcgroup"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
)

// discover reads the machine, and which CPUs of it the driver may give out.
func (s *Settings) discover(logger hclog.Logger) (*topology.Topology, cpuset.Set, error) {
	topo, warnings, err := topology.Discover(s.Sysfs)
	if err != nil {
		return nil, cpuset.Set{}, err
	}
	for _, w := range warnings {
		logger.Debug("topology", "warning", w)
	}
	offered := topo.Online
	if s.Nomad != nil {
		offered = offered.Intersect(*s.Nomad)
	}
	// What the agent's service manager or cgroup withholds from it is not to be given.
	if own, err := affinity.Get(0); err == nil {
		offered = offered.Intersect(own)
	}
	managed := topo.Manageable(offered, s.Usable)
	if left := offered.Difference(managed).Intersect(topo.Isolated); s.Usable.IsEmpty() && !left.IsEmpty() {
		logger.Warn("isolated CPUs (isolcpus) are not given out unless cores.usable names them", "cpus", left.String())
	}
	if managed.IsEmpty() {
		return nil, managed, errors.New("no core is left to give out: cores.usable, Nomad's usable cores and the agent's own affinity have none in common")
	}
	return topo, managed, nil
}

// online reads which CPUs are online now.
func (s *Settings) online() (cpuset.Set, error) {
	data, err := os.ReadFile(s.sysfs("devices/system/cpu/online"))
	if err != nil {
		return cpuset.Set{}, err
	}
	return cpuset.Parse(strings.TrimSpace(string(data)))
}

// memoryNodes returns the NUMA nodes that have memory, nil where that is one.
func (s *Settings) memoryNodes() []int {
	nodes := nomadcgroup.ReadList(s.sysfs("devices/system/node/has_memory")) // the format of a CPU list
	if nodes.IsEmpty() {
		nodes = nomadcgroup.ReadList(s.sysfs("devices/system/node/online"))
	}
	if nodes.Len() < 2 {
		return nil
	}
	return nodes.Slice()
}

func (s *Settings) sysfs(path string) string {
	return filepath.Join(cmp.Or(s.Sysfs, "/sys"), path)
}

// physicalCores counts the physical cores that have one of the CPUs online.
func physicalCores(topo *topology.Topology, cpus cpuset.Set) int {
	seen := map[int]bool{}
	for index := range cpus.All() {
		if cpu, ok := topo.CPU(index); ok && cpu.Online {
			seen[cpu.Core] = true
		}
	}
	return len(seen)
}

// launchOrder is the CPUs in the order in which ranks and threads take them: one
// of each physical core first, siblings after; the same by NUMA node, and their caches.
func launchOrder(topo *topology.Topology, cpus cpuset.Set) launch.Placement {
	var first, rest []topology.CPU
	seen := map[int]bool{}
	for index := range cpus.All() {
		cpu, ok := topo.CPU(index)
		if !ok {
			continue
		}
		if seen[cpu.Core] {
			rest = append(rest, cpu)
			continue
		}
		seen[cpu.Core] = true
		first = append(first, cpu)
	}
	var p launch.Placement
	nodeAt := map[int]int{}
	for _, cpu := range slices.Concat(first, rest) {
		p.CPUs = append(p.CPUs, cpu.Index)
		if cpu.L3 != topology.None {
			if p.Caches == nil {
				p.Caches = map[int]int{}
			}
			p.Caches[cpu.Index] = cpu.L3
		}
		at, ok := nodeAt[cpu.NUMANode]
		if !ok {
			at = len(p.ByNode)
			nodeAt[cpu.NUMANode] = at
			p.ByNode = append(p.ByNode, nil)
		}
		p.ByNode[at] = append(p.ByNode[at], cpu.Index)
	}
	return p
}
