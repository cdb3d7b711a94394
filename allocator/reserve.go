// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"cmp"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// AllocateSpecific leases exactly these CPUs, all or nothing. In isolate mode
// the siblings of their cores go with the lease, idle; a sibling somebody else
// holds is a conflict. The error is a *ConflictError that names who holds what,
// ErrAlreadyLeased, or ErrNoCores for an empty set.
func (a *Allocator) AllocateSpecific(owner string, cpus cpuset.Set) (Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.checkRequest(owner, cpus); err != nil {
		return Lease{}, err
	}
	if err := a.conflict(cpus, a.withSiblings(cpus)); err != nil {
		return Lease{}, err
	}
	r := a.addExactly(owner, cpus, "exactly the cores asked for")
	a.refresh()
	return a.lease(r), nil
}

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

// conflict returns a *ConflictError where CPUs to hold are taken or not managed.
func (a *Allocator) conflict(asked, hold cpuset.Set) error {
	// A sibling that is not managed but reserved for somebody is in the way, too.
	wide := hold
	if a.opts.isolate() {
		wide = a.topo.CoresOf(hold)
	}
	e := &ConflictError{Asked: asked, Unmanaged: asked.Difference(a.managed)}
	var named cpuset.Set
	for owner, r := range a.leases {
		if both := r.held.Intersect(wide); !both.IsEmpty() {
			e.Held = append(e.Held, Conflict{Owner: owner, CPUs: both})
			named = named.Union(both)
		}
	}
	if both := a.unavailable.Intersect(wide).Difference(named); !both.IsEmpty() {
		e.Held = append(e.Held, Conflict{CPUs: both})
	}
	if e.Held == nil && e.Unmanaged.IsEmpty() {
		return nil
	}
	slices.SortFunc(e.Held, func(x, y Conflict) int { return cmp.Compare(x.Owner, y.Owner) })
	return e
}

// addExactly adds a lease of these CPUs; nothing is in its way.
func (a *Allocator) addExactly(owner string, cpus cpuset.Set, reason string) *record {
	r := &record{owner: owner, size: cpus.Len(), cpus: cpus, held: a.withSiblings(cpus), reason: reason}
	a.leases[owner] = r
	return r
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
	e := &ConflictError{Asked: cpus, Unmanaged: cpus.Difference(a.topo.Online)}
	for other, r := range a.leases {
		if both := r.fixed.Intersect(cpus); other != owner && !both.IsEmpty() {
			e.Held = append(e.Held, Conflict{Owner: other, CPUs: both})
		}
	}
	if e.Held != nil || !e.Unmanaged.IsEmpty() {
		slices.SortFunc(e.Held, func(x, y Conflict) int { return cmp.Compare(x.Owner, y.Owner) })
		return Lease{}, nil, e
	}
	pid := 0
	if old := a.leases[owner]; old != nil {
		pid = old.pid
	}
	r := &record{owner: owner, size: cpus.Len(), cpus: cpus, held: cpus, fixed: cpus, pid: pid,
		reason: "the cores that were reserved for it"}
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
