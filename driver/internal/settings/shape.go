// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"fmt"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
)

// The ranks and threads of a run. Of ncpu, ranks and threads a job may say any; what it
// says must fit together: ranks on a node × threads of each = ncpu, the node's cores.

// mostRanks bounds what is multiplied: all nodes that a run can have, with all CPUs that one
// can have.
const mostRanks = member.MaxNodes * cpuset.MaxCPUs

// parseShape reads what a job says of ranks and threads. known says that the solver is.
func (t *TaskSettings) parseShape(c TaskConfig, known bool, p *problems) {
	sound := true
	for _, said := range []struct {
		key, what string
		n         *int
	}{
		{"ranks", "number of MPI ranks of the run, as mpirun -np has it", c.Ranks},
		{"threads", "number of threads of each rank, as LS-DYNA's ncpu= has it", c.Threads},
		{"ranks_per_node", "number of ranks on each node", c.RanksPerNode},
	} {
		if said.n != nil && *said.n < 1 {
			p.add("%s = %d: give the %s, at least 1, or leave it out", said.key, *said.n, said.what)
			sound = false
		}
		if said.n != nil && *said.n > mostRanks {
			p.add("%s = %d is more than any machine has", said.key, *said.n)
			sound = false
		}
	}
	if !sound || t.Nodes < 1 {
		return
	}
	if c.RanksPerNode != nil {
		t.RanksPerNode = *c.RanksPerNode
	}
	if c.Threads != nil {
		t.Threads = *c.Threads
	}
	if c.Ranks != nil {
		perNode := *c.Ranks / t.Nodes
		switch {
		case *c.Ranks%t.Nodes != 0:
			p.add("ranks = %d cannot be divided evenly among nodes = %d: give a multiple of it", *c.Ranks, t.Nodes)
			return
		case t.RanksPerNode > 0 && t.RanksPerNode != perNode:
			p.add("ranks = %d on nodes = %d are %d on each, and ranks_per_node = %d: leave one of them out", *c.Ranks, t.Nodes, perNode, t.RanksPerNode)
			return
		}
		t.RanksPerNode = perNode
	}
	if !known || !t.fitSolver(p) || t.NCPU == 0 {
		return
	}
	if err := t.divide(max(t.NCPU, -t.NCPU), fmt.Sprintf("ncpu = %d", t.NCPU)); err != nil {
		p.add("%w", err)
	}
}

// fitSolver checks that a build of the solver's kind can have such ranks and threads, and
// says what follows from its kind. It reports false where it cannot.
func (t *TaskSettings) fitSolver(p *problems) bool {
	name := fmt.Sprintf("solver %q", t.Solver.Name)
	if t.Solver.Name == "" {
		name = "command"
	}
	switch {
	case t.Solver.Parallel == lsdyna.SMP && t.RanksPerNode > 1:
		p.add("ranks = %d: %s is SMP, which is one process with threads; say threads, or take an MPP or hybrid solver", t.RanksPerNode*t.Nodes, name)
		return false
	case t.Solver.Parallel == lsdyna.SMP && t.Threads > 0:
		t.RanksPerNode = 1
	case t.Solver.Parallel == lsdyna.MPP && t.Threads > 1:
		p.add("threads = %d: %s is MPP, whose ranks have one thread each; say ranks, or take a hybrid solver", t.Threads, name)
		return false
	case t.Solver.Parallel == lsdyna.MPP && t.RanksPerNode > 0:
		t.Threads = 1
	}
	return true
}

// divide settles how ranks and threads share a node's cores. which says in the error where
// their number stands.
func (t *TaskSettings) divide(cores int, which string) error {
	ranks, threads := t.RanksPerNode, t.Threads
	switch {
	case ranks > 0 && threads > 0 && ranks*threads != cores:
		why := ""
		if t.Solver.Parallel == lsdyna.MPP {
			why = fmt.Sprintf(" (solver %q is MPP: a rank has one thread)", t.Solver.Name)
		}
		return fmt.Errorf("%s = %s%s, and %s: leave one of ncpu, ranks and threads out, or make them fit", t.product(), plural(ranks*threads, "core"), why, which)
	case ranks > 0 && cores%ranks != 0:
		return fmt.Errorf("%s%s cannot share %s evenly (%s): each has as many threads as the others", plural(ranks, "rank"), t.onEach(), plural(cores, "core"), which)
	case threads > 0 && cores%threads != 0:
		return fmt.Errorf("ranks of %s cannot share %s evenly%s (%s): each has as many threads as the others", plural(threads, "thread"), plural(cores, "core"), t.onEach(), which)
	case ranks > 0:
		t.Threads = cores / ranks
	case threads > 0:
		t.RanksPerNode = cores / threads
	}
	return nil
}

// SettleCores settles how many cores the run asks for on this node: ncpu, else what ranks
// and threads need, else the physical cores that Nomad has reserved for the task, else one.
// reserved counts the CPUs that Nomad has reserved, physical their physical cores; both are
// 0 where it has reserved none.
func (t *TaskSettings) SettleCores(reserved, physical int) error {
	which := fmt.Sprintf("ncpu = %d", t.NCPU)
	if t.NCPU == 0 {
		switch both := t.RanksPerNode * t.Threads; {
		case both > 0:
			t.NCPU, which = both, fmt.Sprintf("%s = %s", t.product(), plural(both, "core"))
		case physical > 0:
			t.NCPU, which = physical, "resources.cores, of which ncpu follows"
		default:
			t.NCPU = max(t.RanksPerNode, t.Threads, 1)
		}
	}
	n := max(t.NCPU, -t.NCPU)
	if reserved > 0 && n > reserved {
		out := "leave ncpu out to use all of them"
		if t.Threads > 0 || t.RanksPerNode > 0 {
			out = "lower ranks or threads"
		}
		return fmt.Errorf("%s wants more than the %s that resources.cores reserves: raise resources.cores, or %s", which, plural(reserved, "core"), out)
	}
	return t.divide(n, which)
}

// product is ranks × threads in words.
func (t *TaskSettings) product() string {
	return fmt.Sprintf("%s%s × %s", plural(t.RanksPerNode, "rank"), t.onEach(), plural(t.Threads, "thread"))
}

func (t *TaskSettings) onEach() string {
	if t.Nodes > 1 {
		return " on each node"
	}
	return ""
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
