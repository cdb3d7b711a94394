// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package page

import (
	"cmp"
	"fmt"
	"slices"
)

// machine is a machine's CPUs by NUMA node, cache and core.
type machine struct {
	Text    string
	Nodes   []machineNode
	HasIdle bool
}

type machineNode struct {
	Name   string
	Caches [][]machineCore
}

// machineCore is a physical core: its threads.
type machineCore []machineCPU

type machineCPU struct {
	Index        int
	Class, Title string
}

// maxCPUs bounds a drawing.
const maxCPUs = 2048

// view groups the CPUs. It is nil where there are none, or more than a page can show.
func (m *Machine) view() *machine {
	if m == nil || len(m.CPUs) == 0 || len(m.CPUs) > maxCPUs {
		return nil
	}
	cpus := slices.Clone(m.CPUs)
	slices.SortStableFunc(cpus, func(a, b CPU) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Node, b.Node), cmp.Compare(a.L3, b.L3), cmp.Compare(a.Core, b.Core), cmp.Compare(a.Index, b.Index))
	})
	drawn := &machine{}
	own, cores, nodes := 0, map[int]bool{}, map[int]bool{}
	for _, cpu := range cpus {
		if m.Own.Contains(cpu.Index) {
			own++
			cores[cpu.Core], nodes[cpu.Node] = true, true
		}
	}
	for i, cpu := range cpus {
		before := CPU{Package: -1, Node: -1, L3: -2, Core: -1}
		if i > 0 {
			before = cpus[i-1]
		}
		one := machineCPU{Index: cpu.Index, Title: fmt.Sprintf("CPU %d: not this run's", cpu.Index)}
		switch {
		case m.Own.Contains(cpu.Index):
			one.Class, one.Title = "own", fmt.Sprintf("CPU %d: this run's", cpu.Index)
		case m.Isolated && cores[cpu.Core]:
			one.Class, one.Title = "idle", fmt.Sprintf("CPU %d: kept idle for this run", cpu.Index)
			drawn.HasIdle = true
		}
		drawn.add(one, cpu, before)
	}
	switch {
	case own == 0:
		drawn.Text = "The run has no cores of its own: the kernel moves it between those that are free."
	case own == len(cores):
		drawn.Text = fmt.Sprintf("The run is bound to %s on %s.", plural(int64(own), "core"), plural(int64(len(nodes)), "NUMA node"))
	default:
		drawn.Text = fmt.Sprintf("The run is bound to %s of %s on %s.", plural(int64(own), "CPU"), plural(int64(len(cores)), "core"), plural(int64(len(nodes)), "NUMA node"))
	}
	return drawn
}

// add adds a CPU behind another.
func (m *machine) add(drawn machineCPU, cpu, before CPU) {
	newNode := cpu.Package != before.Package || cpu.Node != before.Node
	if newNode {
		m.Nodes = append(m.Nodes, machineNode{Name: fmt.Sprintf("Socket %d, NUMA node %d", cpu.Package, cpu.Node)})
	}
	node := &m.Nodes[len(m.Nodes)-1]
	newCache := newNode || cpu.L3 != before.L3
	if newCache {
		node.Caches = append(node.Caches, nil)
	}
	cache := &node.Caches[len(node.Caches)-1]
	if newCache || cpu.Core != before.Core {
		*cache = append(*cache, nil)
	}
	core := &(*cache)[len(*cache)-1]
	*core = append(*core, drawn)
}
