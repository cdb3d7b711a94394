// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"cmp"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// checkRequest checks what does not depend on who holds what.
func (a *Allocator) checkRequest(owner string, cpus cpuset.Set) error {
	if a.leases[owner] != nil {
		return ErrAlreadyLeased
	}
	if cpus.IsEmpty() {
		return ErrNoCores
	}
	return nil
}

// withSiblings returns the CPUs that a lease on these holds: in isolate mode with all
// managed siblings.
func (a *Allocator) withSiblings(cpus cpuset.Set) cpuset.Set {
	if !a.opts.isolate() {
		return cpus
	}
	return cpus.Union(a.topo.CoresOf(cpus).Intersect(a.managed))
}

// canHold reports whether a lease may hold CPUs: all are managed, and nobody else has
// them or, in isolate mode, a sibling of theirs, managed or not.
func (a *Allocator) canHold(cpus cpuset.Set) bool {
	cores := cpus
	if a.opts.isolate() {
		cores = a.topo.CoresOf(cpus)
	}
	return cpus.SubsetOf(a.managed) && !cores.Overlaps(a.taken())
}

// Reserve leases exactly the CPUs that were reserved for the owner from
// outside, siblings included where they are named, managed or not. Such a
// reservation takes precedence: leases that hold any of the CPUs lose them, and
// are returned as they were; each is to be re-placed with Move. Only online CPUs
// can be had, and none of another owner's reservation: those are a
// *ConflictError. An owner that has a lease gives it up for the reservation.
func (a *Allocator) Reserve(owner string, cpus cpuset.Set) (lease Lease, displaced []Lease, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if cpus.IsEmpty() {
		return Lease{}, nil, ErrNoCores
	}
	e := &ConflictError{Asked: cpus, Offline: cpus.Difference(a.topo.Online)}
	for other, r := range a.leases {
		if both := r.fixed.Intersect(cpus); other != owner && !both.IsEmpty() {
			e.Held = append(e.Held, Conflict{Owner: other, CPUs: both})
		}
	}
	if e.Held != nil || !e.Offline.IsEmpty() {
		slices.SortFunc(e.Held, func(x, y Conflict) int { return cmp.Compare(x.Owner, y.Owner) })
		return Lease{}, nil, e
	}
	pid := 0
	if old := a.leases[owner]; old != nil {
		pid = old.pid
	}
	r := &record{
		owner: owner, size: cpus.Len(), cpus: cpus, held: cpus, fixed: cpus, pid: pid,
		reason: "the cores that were reserved for it",
	}
	a.leases[owner] = r
	displaced = a.displace(cpus)
	a.refresh()
	return a.lease(r), displaced, nil
}

// displace takes CPUs away from every lease they are not reserved for, in
// isolate mode with their whole cores, and returns the leases as they were,
// ordered by owner.
func (a *Allocator) displace(lost cpuset.Set) []Lease {
	if a.opts.isolate() {
		lost = a.topo.CoresOf(lost)
	}
	var displaced []Lease
	for _, r := range a.leases {
		if gone := lost.Difference(r.fixed); r.held.Overlaps(gone) {
			displaced = append(displaced, a.lease(r))
			r.remove(gone)
		}
	}
	sortByOwner(displaced)
	return displaced
}

// remove takes CPUs out of the record and remembers what it had before.
func (r *record) remove(gone cpuset.Set) {
	if !r.displaced() {
		r.before = r.cpus
	}
	r.cpus = r.cpus.Difference(gone)
	r.held = r.held.Difference(gone)
}

// SetUnavailable says which CPUs are reserved for others now; it replaces what
// was said before. CPUs of a lease made by Reserve may be among them. Leases
// that hold others of them lose those and are returned as they were; each is to
// be re-placed with Move.
func (a *Allocator) SetUnavailable(cpus cpuset.Set) (displaced []Lease) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unavailable = cpus
	displaced = a.displace(cpus)
	a.refresh()
	return displaced
}
