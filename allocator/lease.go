// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// Lease is what one owner has. It is a copy: later changes do not show in it.
type Lease struct {
	Owner string
	// CPUs to bind to: one thread of each physical core in isolate mode.
	CPUs cpuset.Set
	// Held are all CPUs that belong to the lease, the idle siblings included.
	Held cpuset.Set
	// NUMANodes of the CPUs, ascending: where the memory should be.
	NUMANodes []int
	// Reason says why these cores.
	Reason string
	// Reserved: CPUs that were reserved for the owner (see Reserve).
	Reserved bool
	// Displaced: some of the lease's CPUs were taken away, and Move has not yet
	// given others for them.
	Displaced bool
	// PID of the owner's process as given to SetPID, 0 where it is not known.
	PID int
}

// Describe says which cores a lease has: "cores 4-11 (8 cores, NUMA node 0)".
func Describe(lease Lease) string {
	n := lease.CPUs.Len()
	if n == 0 {
		return Name(lease.CPUs)
	}
	text := fmt.Sprintf("%s (%s", Name(lease.CPUs), plural(n, "core"))
	if nodes := describeNodes(lease.NUMANodes); nodes != "" {
		text += ", " + nodes
	}
	return text + ")"
}

// Name names cores in a sentence: "core 3", "cores 4-11", "no cores".
func Name(cpus cpuset.Set) string {
	switch cpus.Len() {
	case 0:
		return "no cores"
	case 1:
		return "core " + cpus.String()
	}
	return "cores " + cpus.String()
}

// describeNodes returns "NUMA node 0" or "NUMA nodes 0,1".
func describeNodes(nodes []int) string {
	switch len(nodes) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("NUMA node %d", nodes[0])
	}
	ids := make([]string, len(nodes))
	for i, id := range nodes {
		ids[i] = strconv.Itoa(id)
	}
	return "NUMA nodes " + strings.Join(ids, ",")
}

// record is what the allocator keeps of a lease.
type record struct {
	owner  string
	size   int // cores the owner is to have, also while it is displaced
	cpus   cpuset.Set
	held   cpuset.Set
	fixed  cpuset.Set // CPUs that were reserved for the owner: nobody displaces it there
	before cpuset.Set // CPUs before the owner was displaced; empty when it is not
	reason string
	pid    int
}

func (r *record) displaced() bool { return !r.before.IsEmpty() }
