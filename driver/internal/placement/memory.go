// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// placeMemory writes into a specification where the memory of a run on these CPUs
// comes from, and returns what cannot be done about it, or "".
func (c *Cores) placeMemory(spec *supervisor.Spec, cpus cpuset.Set) (warning string) {
	if cpus.IsEmpty() || c.settings.Memory == MemoryNone || c.settings.memoryNodes() == nil {
		return ""
	}
	if c.settings.Memory != MemoryStrict {
		spec.Memory.Policy = supervisor.MemoryLocal
		return ""
	}
	nodes := withoutWithheld(&spec.Cgroups, c.nodes(cpus))
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

// withoutWithheld leaves out nodes that the cgroups above the run's own withhold.
func withoutWithheld(groups *supervisor.Cgroups, nodes []int) []int {
	allowed := allowedNodes(groups)
	if allowed.IsEmpty() {
		return nodes // they do not tell
	}
	return slices.DeleteFunc(slices.Clone(nodes), func(n int) bool { return !allowed.Contains(n) })
}

// memoryMove is the state of the one goroutine that moves a run's memory. It
// moves, and moves again as long as somebody asked for it meanwhile.
type memoryMove struct {
	wanted  bool
	running bool
}

// begin reports whether the goroutine has to be started, and counts it as running
// from now on.
func (m *memoryMove) begin() bool {
	if !m.wanted || m.running {
		return false
	}
	m.running = true
	return true
}

// followMemory has the run's memory moved to the nodes of the cores that it has
// now, in the background: much memory takes minutes, and the run goes on meanwhile.
// The caller holds mu.
func (b *Binder) followMemory() {
	if b.spec.Memory.Policy != supervisor.MemoryInherited {
		b.moving.wanted = true
	}
}

// moveMemory moves the run's memory until nobody wants it moved any more.
func (b *Binder) moveMemory() {
	for {
		move, ok := b.nextMemoryMove()
		if !ok {
			return
		}
		left, err := move.do()
		b.reportMemoryMove(move, left, err)
	}
}

// oneMemoryMove is a move of memory between NUMA nodes.
type oneMemoryMove struct {
	proc     *supervisor.Process
	from, to []int
}

// do takes minutes with much memory.
func (m *oneMemoryMove) do() (unmoved int, err error) {
	tree, err := m.proc.Tree()
	if err != nil {
		return 0, err
	}
	return tree.MoveMemory(m.from, m.to)
}

// nextMemoryMove says what to move; false ends the goroutine. It reads the lease
// itself: the last of several changes counts.
func (b *Binder) nextMemoryMove() (move oneMemoryMove, ok bool) {
	b.mu.Lock()
	defer b.unlock()
	wanted := b.moving.wanted && !b.released
	b.moving = memoryMove{running: wanted}
	if !wanted {
		return move, false
	}
	all := b.cores.settings.memoryNodes()
	to := all // without a lease: from wherever it runs
	if lease, leased := b.cores.alloc.Lease(b.run.Owner); leased {
		to = b.cores.nodes(lease.CPUs)
	}
	to = withoutWithheld(&b.spec.Cgroups, to)
	if len(to) == 0 {
		b.moving = memoryMove{}
		return move, false
	}
	from := slices.DeleteFunc(slices.Clone(all), func(n int) bool { return slices.Contains(to, n) })
	return oneMemoryMove{proc: b.proc, from: from, to: to}, true
}

// reportMemoryMove says how a move went. The end of the run is no failure of it.
func (b *Binder) reportMemoryMove(move oneMemoryMove, left int, err error) {
	b.mu.Lock()
	defer b.unlock()
	words := nodeWords(move.to)
	switch {
	case b.released || isDone(move.proc):
	case err != nil:
		b.run.Logger.Error("cannot move the solver's memory", "nodes", words, "error", err)
		b.say("Memory did not follow to %s: %v", words, err)
	case b.spec.Memory.Policy == supervisor.MemoryBind:
		b.say("Memory moved to %s, but without a cpuset of its own the task stays bound to %s for what it takes from now on",
			words, nodeWords(b.spec.Memory.Nodes))
	case len(move.from) > 0:
		b.say("Memory moved to %s%s", words, unmoved(left))
	}
}

func isDone(proc *supervisor.Process) bool {
	select {
	case <-proc.Done():
		return true
	default:
		return false
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

// strayedNodes returns the nodes that somebody else wrote to the cpuset.mems of a
// run whose memory it binds, and what belongs there; nothing where all is well. The
// caller holds mu.
func (b *Binder) strayedNodes(cpus cpuset.Set) (is, want cpuset.Set) {
	if b.spec.Cgroups.Mems == "" || b.moving.running || b.moving.wanted {
		return is, want
	}
	is, ok := readLeaf(&b.spec.Cgroups, "cpuset.mems")
	if !ok {
		return cpuset.Set{}, cpuset.Set{}
	}
	want = cpuset.Of(withoutWithheld(&b.spec.Cgroups, b.cores.nodes(cpus))...)
	if want.IsEmpty() || is == want {
		return cpuset.Set{}, cpuset.Set{}
	}
	return is, want
}
