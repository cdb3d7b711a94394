// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/nomadcgroup"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Where a task's memory comes from, cores.memory. On a machine with memory on one
// NUMA node only none of them does anything.
const (
	// memoryPreferred: from the nodes of the task's cores while they have any
	// free, by the kernel's own local policy; one that the agent was started under
	// (numactl, systemd's NUMAPolicy=) is not handed on. It follows moves.
	memoryPreferred = "preferred"

	// memoryStrict: from these nodes and nowhere else, by cpuset.mems where the
	// task has a cpuset of its own. When they are full the kernel reclaims, swaps,
	// and in the end kills the task.
	memoryStrict = "strict"

	// memoryNone: nothing is done about memory.
	memoryNone = "none"
)

func checkMemory(word string) error {
	switch word {
	case "", memoryPreferred, memoryStrict, memoryNone:
		return nil
	}
	return fmt.Errorf("cores: memory must be preferred, strict or none, not %q", word)
}

// memoryNodes returns the NUMA nodes that have memory, nil where that is one.
func (c *cores) memoryNodes() []int {
	dir := filepath.Join(orDefault(c.sysfs, "/sys"), "devices/system/node")
	nodes := nomadcgroup.ReadList(filepath.Join(dir, "has_memory")) // the same list format
	if nodes.IsEmpty() {
		nodes = nomadcgroup.ReadList(filepath.Join(dir, "online"))
	}
	if nodes.Len() < 2 {
		return nil
	}
	return nodes.Slice()
}

// nodes returns which nodes with memory CPUs belong to.
func (c *cores) nodes(cpus cpuset.Set) []int {
	memory := c.memoryNodes()
	return slices.DeleteFunc(c.alloc.Topology().NodesOf(cpus), func(n int) bool { return !slices.Contains(memory, n) })
}

// placeMemory writes into a specification how the memory of a task on these CPUs
// is placed, and returns what cannot be done about it, or "".
func (c *cores) placeMemory(spec *supervisor.Spec, cpus cpuset.Set) (warning string) {
	mode := orDefault(c.config.Cores.Memory, memoryPreferred)
	if cpus.IsEmpty() || mode == memoryNone || c.memoryNodes() == nil {
		return ""
	}
	if mode == memoryPreferred {
		spec.Memory.Policy = supervisor.MemoryLocal
		return ""
	}
	nodes := c.allowedNodes(&spec.Cgroups, c.nodes(cpus))
	if leaf := spec.Cgroups.LeafCpuset; len(nodes) > 0 && leaf != "" && unix.Access(filepath.Join(leaf, "cpuset.mems"), unix.W_OK) == nil {
		spec.Cgroups.Mems = cpuset.Of(nodes...).String()
		spec.Memory.Policy = supervisor.MemoryLocal
		return ""
	}
	if err := supervisor.CanBindMemory(nodes); err != nil {
		spec.Memory.Policy = supervisor.MemoryLocal
		return fmt.Sprintf("Memory is not bound to %s, only preferred there: %v", nodeWords(c.alloc.Topology().NodesOf(cpus)), err)
	}
	spec.Memory = supervisor.Memory{Policy: supervisor.MemoryBind, Nodes: nodes}
	return ""
}

// allowedNodes leaves out nodes that the cgroups above the task's own withhold.
func (c *cores) allowedNodes(groups *supervisor.Cgroups, nodes []int) []int {
	allowed := allowedNodes(groups)
	if allowed.IsEmpty() {
		return nodes // they do not tell
	}
	return slices.DeleteFunc(slices.Clone(nodes), func(n int) bool { return !allowed.Contains(n) })
}

// memoryFollows moves the task's memory to the nodes of the cores that it has
// now, in the background: much memory takes minutes, and the task runs meanwhile.
func (t *task) memoryFollows() {
	if t.spec == nil || t.spec.Memory.Policy == supervisor.MemoryInherited {
		return
	}
	t.following.Add(1)
	go func() {
		defer t.following.Add(-1)
		t.memory.Lock()
		defer t.memory.Unlock()
		t.moveMemory()
	}()
}

// moveMemory reads the lease itself: the last of several moves counts.
func (t *task) moveMemory() {
	all := t.cores.memoryNodes()
	to := all // without a lease: from wherever it runs
	if lease, ok := t.cores.alloc.Lease(t.id.String()); ok {
		to = t.cores.nodes(lease.CPUs)
	}
	to = t.cores.allowedNodes(&t.spec.Cgroups, to)
	from := slices.DeleteFunc(slices.Clone(all), func(n int) bool { return slices.Contains(to, n) })
	tree, err := t.process().Tree()
	if err != nil || len(to) == 0 {
		return
	}
	left, err := tree.MoveMemory(from, to)
	words := nodeWords(to)
	switch {
	case t.isOver():
	case err != nil:
		t.logger.Error("cannot move the solver's memory", "nodes", words, "error", err)
		t.say(fmt.Sprintf("Memory did not follow to %s: %v", words, err))
	case t.spec.Memory.Policy == supervisor.MemoryBind:
		t.say(fmt.Sprintf("Memory moved to %s, but without a cpuset of its own the task stays bound to %s for what it takes from now on",
			words, nodeWords(t.spec.Memory.Nodes)))
	case len(from) > 0:
		t.say(fmt.Sprintf("Memory moved to %s%s", words, unmoved(left)))
	}
}

// nodeWords returns "NUMA node 0" or "NUMA nodes 0,2-3".
func nodeWords(nodes []int) string {
	if len(nodes) == 1 {
		return fmt.Sprintf("NUMA node %d", nodes[0])
	}
	return "NUMA nodes " + cpuset.Of(nodes...).String()
}

// unmoved names pages that stayed where they were: locked, or shared with others.
func unmoved(pages int) string {
	if pages == 0 {
		return ""
	}
	return fmt.Sprintf(", but for %d MiB that cannot be moved", (pages*os.Getpagesize())>>20+1)
}

// strayedMems returns the nodes that somebody else wrote to the cpuset.mems of a
// task whose memory it binds, and what belongs there; nothing where all is well.
func (t *task) strayedMems(cpus cpuset.Set) (is, want cpuset.Set) {
	if t.spec == nil || t.spec.Cgroups.Mems == "" || t.following.Load() > 0 {
		return is, want
	}
	path := filepath.Join(t.spec.Cgroups.LeafCpuset, "cpuset.mems")
	if _, err := os.Stat(path); err != nil {
		return is, want
	}
	is, want = nomadcgroup.ReadList(path), cpuset.Of(t.cores.allowedNodes(&t.spec.Cgroups, t.cores.nodes(cpus))...)
	if want.IsEmpty() || is == want {
		return cpuset.Set{}, cpuset.Set{}
	}
	return is, want
}
