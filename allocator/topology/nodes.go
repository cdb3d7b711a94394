// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package topology

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// readNodes reads the NUMA nodes. A kernel without NUMA has no node tree: then
// there is one node, 0.
func (s *sysfs) readNodes(t *Topology) {
	ids := s.numbered(nodeDir, "node")
	if len(ids) == 0 {
		s.warn("no NUMA nodes in %s: taken for one node", nodeDir)
		t.Nodes = []NUMANode{{ID: 0, CPUs: t.Online}}
		t.eachOf(t.Online, func(c *CPU) { c.NUMANode = 0 })
		return
	}
	var claimed cpuset.Set
	for _, id := range ids {
		dir := filepath.Join(nodeDir, "node"+strconv.Itoa(id))
		cpus, _ := s.listOrMask(dir, "cpulist", "cpumap")
		cpus = cpus.Intersect(t.Online) // old kernels list offline CPUs, too
		t.Nodes = append(t.Nodes, NUMANode{ID: id, CPUs: cpus, Distances: s.distances(dir, len(ids))})
		if cpus.Overlaps(claimed) {
			s.warn("more than one NUMA node claims CPUs %s: they are taken for the lowest node's", cpus.Intersect(claimed))
		}
		t.eachOf(cpus.Difference(claimed), func(c *CPU) { c.NUMANode = id })
		claimed = claimed.Union(cpus)
	}
	if unclaimed := t.Online.Difference(claimed); !unclaimed.IsEmpty() {
		s.warn("CPUs %s belong to no NUMA node: taken for the node of their package", unclaimed)
		t.eachOf(unclaimed, func(c *CPU) { t.assignNode(c) })
	}
}

// assignNode puts a CPU that no node claims into the lowest node of its package, or
// into the lowest of all.
func (t *Topology) assignNode(cpu *CPU) {
	best := 0
	for i, node := range slices.Backward(t.Nodes) {
		for _, other := range t.CPUs {
			if other.Package == cpu.Package && node.CPUs.Contains(other.Index) {
				best = i
				break
			}
		}
	}
	cpu.NUMANode = t.Nodes[best].ID
	t.Nodes[best].CPUs.Add(cpu.Index)
}

// distances reads one row of the SLIT table: a number for each online node.
func (s *sysfs) distances(dir string, nodes int) []int {
	path := filepath.Join(dir, "distance")
	text, ok := s.text(path)
	if !ok {
		if nodes > 1 {
			s.warn("no distances between NUMA nodes: taken for equal")
		}
		return nil
	}
	row := make([]int, 0, nodes)
	for field := range strings.FieldsSeq(text) {
		d, err := strconv.ParseUint(field, 10, 16)
		if err != nil || d == 0 {
			break
		}
		row = append(row, int(d))
	}
	if len(row) != nodes || len(strings.Fields(text)) != nodes {
		s.warn("%s holds %q, not %d distances: taken for equal", path, clip(text), nodes)
		return nil
	}
	return row
}
