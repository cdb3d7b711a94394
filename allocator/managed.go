// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
)

// SetManaged takes over a new state of the machine: CPUs that went on- or
// offline, or that became usable or ceased to be. Leases that lost a CPU they
// are bound to are returned as they were; each is to be re-placed with Move. An
// idle sibling that comes or goes changes what a lease holds, not where it runs.
func (a *Allocator) SetManaged(topo *topology.Topology, managed cpuset.Set) (displaced []Lease) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := make(map[string]Lease, len(a.leases))
	for owner, r := range a.leases {
		was[owner] = a.lease(r)
	}
	a.buildGrid(topo, managed)
	// A sibling that came online may be reserved for others already.
	reserved := a.unavailable
	if a.opts.isolate() {
		reserved = topo.CoresOf(reserved)
	}
	for owner, r := range a.leases {
		r.fixed = r.fixed.Intersect(topo.Online)
		gone := r.held.Difference(a.managed).Union(r.held.Intersect(reserved)).Difference(r.fixed)
		if r.cpus.Overlaps(gone) {
			displaced = append(displaced, was[owner])
			r.remove(gone)
		} else {
			r.held = r.held.Difference(gone)
		}
	}
	a.extendToSiblings()
	sortByOwner(displaced)
	a.refresh()
	return displaced
}

// extendToSiblings adds to the leases in isolate mode the siblings of their cores
// that came online, or that they were not allowed to hold before.
func (a *Allocator) extendToSiblings() {
	if !a.opts.isolate() {
		return
	}
	free := a.managed.Difference(a.taken())
	for _, r := range a.leases {
		r.held = r.held.Union(a.topo.CoresOf(r.held.Difference(r.fixed)).Intersect(free))
	}
}
