// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package rank binds an MPI rank to its own CPUs before the solver executes. Launchers
// have one map of CPUs for all nodes, or none that names a CPU; a lease has others on
// every node. So the launcher binds nothing, and each rank begins as this shim, which
// inherits the CPUs of its node's lease and takes its share of them.
//
// A launcher starts it once for each rank, so that its start counts. It runs from the
// package's init, before that of Nomad's packages, and imports little (see package shim).
package rank

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/affinity"
)

// Command is that of the shim, in os.Args[1].
const Command = "rank"

func init() {
	if len(os.Args) < 2 || os.Args[1] != Command {
		return
	}
	if err := Main(os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stdout, " nomad-driver-lsdyna: a rank cannot start: %v\n", err)
	}
	os.Exit(1)
}

// localRank are the variables by which launchers tell a rank its number on its node.
var localRank = []string{
	"OMPI_COMM_WORLD_LOCAL_RANK", // Open MPI
	"PMIX_LOCAL_RANK",
	"MPI_LOCALRANKID", // Hydra: MPICH, Intel MPI
	"PMI_LOCAL_RANK",
	"MPI_LOCALRANK", // Platform MPI
}

// LocalRank is the number of this rank on its node.
func LocalRank(getenv func(string) string) (int, error) {
	for _, name := range localRank {
		text := getenv(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("%s = %q is not the number of a rank", name, text)
		}
		return n, nil
	}
	return 0, fmt.Errorf("none of %s is set: an MPI launcher starts this", strings.Join(localRank, ", "))
}

// Share is the CPUs of one rank out of those of its node's lease: as many as it has
// threads, of one NUMA node where that can be.
func Share(lease cpuset.Set, nodes []cpuset.Set, rank, threads int) (cpuset.Set, error) {
	order := byNode(lease, nodes, threads)
	first := rank * threads
	if first+threads > len(order) {
		return cpuset.Set{}, fmt.Errorf("rank %d of this node with %d threads finds %d CPUs", rank, threads, len(order))
	}
	return cpuset.Of(order[first : first+threads]...), nil
}

// byNode puts CPUs in the order in which ranks take them: node by node, whole ranks
// first, then what is left of every node.
func byNode(lease cpuset.Set, nodes []cpuset.Set, threads int) (order []int) {
	var rest []int
	left := lease
	for _, node := range nodes {
		cpus := lease.Intersect(node).Slice()
		left = left.Difference(node)
		whole := len(cpus) / threads * threads
		order, rest = append(order, cpus[:whole]...), append(rest, cpus[whole:]...)
	}
	return slices.Concat(order, rest, left.Slice())
}

// nodeRoot is where Linux tells of NUMA nodes.
const nodeRoot = "/sys/devices/system/node"

// numaNodes are the CPUs of each NUMA node; none where Linux tells of none.
func numaNodes(root string) (nodes []cpuset.Set) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil
	}
	var numbers []int
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), "node")
		if n, err := strconv.Atoi(text); ok && err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		data, err := os.ReadFile(root + "/node" + strconv.Itoa(n) + "/cpulist")
		if err != nil {
			continue
		}
		if cpus, err := cpuset.Parse(strings.TrimSpace(string(data))); err == nil {
			nodes = append(nodes, cpus)
		}
	}
	return nodes
}

// Plan is the CPUs of each rank of a node, as they were when the run was launched.
type Plan [][]int

// String is what ParsePlan reads: "0,2/1,3" for two ranks with two CPUs each, "-" for a
// run that is not pinned.
func (p Plan) String() string {
	if len(p) == 0 {
		return "-"
	}
	ranks := make([]string, len(p))
	for i, cpus := range p {
		list := make([]string, len(cpus))
		for j, cpu := range cpus {
			list[j] = strconv.Itoa(cpu)
		}
		ranks[i] = strings.Join(list, ",")
	}
	return strings.Join(ranks, "/")
}

// ParsePlan reads a plan.
func ParsePlan(text string) (Plan, error) {
	if text == "-" {
		return nil, nil
	}
	var p Plan
	for list := range strings.SplitSeq(text, "/") {
		cpus, err := cpuset.Parse(list)
		if err != nil || cpus.IsEmpty() {
			return nil, fmt.Errorf("%q does not name the CPUs of each rank", text)
		}
		p = append(p, cpus.Slice())
	}
	return p, nil
}

// place is where a rank binds itself: to its CPUs of the plan, or, where the lease has
// moved since that was made, to its share of what the node has now.
func place(p Plan, lease cpuset.Set, rank, threads int) (cpuset.Set, error) {
	if rank < len(p) {
		if own := cpuset.Of(p[rank]...); own.Difference(lease).IsEmpty() {
			return own, nil
		}
	}
	return Share(lease, numaNodes(nodeRoot), rank, threads)
}

// Main binds the calling rank and executes the solver in its place. It returns only
// where that fails.
func Main(args []string) error {
	if len(args) < 4 {
		return fmt.Errorf("usage: rank CPUS LEADER THREADS SOLVER ARGUMENT…: an MPI launcher calls this for each rank")
	}
	plan, err := ParsePlan(args[0])
	if err != nil {
		return err
	}
	env, err := withLeaders(os.Environ(), args[1])
	if err != nil {
		return err
	}
	threads, err := strconv.Atoi(args[2])
	if err != nil || threads < 1 {
		return fmt.Errorf("%q is not a number of threads", args[2])
	}
	local, err := LocalRank(os.Getenv)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // exec takes the affinity of the thread that calls it
	if len(plan) > 0 {
		if err := bind(plan, local, threads); err != nil {
			return err
		}
	}
	solver := args[3:]
	if err := syscall.Exec(solver[0], solver, env); err != nil {
		return fmt.Errorf("execute %s: %w", solver[0], err)
	}
	return nil
}

func bind(plan Plan, local, threads int) error {
	lease, err := affinity.Get(0)
	if err != nil {
		return err
	}
	cpus, err := place(plan, lease, local, threads)
	if err != nil {
		return err
	}
	return affinity.Bind(0, cpus)
}
