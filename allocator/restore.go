// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// Restore leases to an owner that outlived a restart what it had: the wanted
// CPUs where they are free; else those of them that are, and others as near as
// possible; else as many elsewhere. The owner's live process is to be moved
// unless the answer is RestoredSame. The error is a *ShortageError where not
// enough cores are left, ErrAlreadyLeased, or ErrNoCores for an empty set.
//
// specific says that the CPUs were reserved for the owner, as by Reserve: they
// are held without their siblings and need not be managed. Unlike Reserve,
// restoring displaces nobody.
func (a *Allocator) Restore(owner string, wanted cpuset.Set, specific bool) (Lease, Restored, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.checkRequest(owner, wanted); err != nil {
		return Lease{}, RestoredOther, err
	}
	if a.restoreSame(owner, wanted, specific) {
		a.refresh()
		return a.lease(a.leases[owner]), RestoredSame, nil
	}
	r := &record{owner: owner, size: wanted.Len()}
	r.cpus, r.held = a.stillFree(wanted)
	how := RestoredPartly
	if r.cpus.IsEmpty() {
		how = RestoredOther
	}
	if err := a.fill(r, r.cpus); err != nil {
		return Lease{}, RestoredOther, err
	}
	a.leases[owner] = r
	a.refresh()
	return a.lease(r), how, nil
}

// restoreSame leases the wanted CPUs where nothing is in the way.
func (a *Allocator) restoreSame(owner string, wanted cpuset.Set, specific bool) bool {
	if !specific {
		held := a.withSiblings(wanted)
		if !a.canHold(held) {
			return false
		}
		a.leases[owner] = &record{owner: owner, size: wanted.Len(), cpus: wanted, held: held, reason: "the same cores as before"}
		return true
	}
	var held cpuset.Set
	for _, r := range a.leases {
		held = held.Union(r.held)
	}
	if !wanted.SubsetOf(a.topo.Online) || wanted.Overlaps(held) {
		return false
	}
	a.leases[owner] = &record{owner: owner, size: wanted.Len(), cpus: wanted, held: wanted, fixed: wanted,
		reason: "the cores that were reserved for it, as before"}
	return true
}

// stillFree returns those of the wanted CPUs that can be had, with what they hold.
func (a *Allocator) stillFree(wanted cpuset.Set) (cpus, held cpuset.Set) {
	for index := range wanted.All() {
		if n, unit := a.grid.UnitOf(index); unit != nil && a.free.Has(n) {
			cpus.Add(index)
			held = held.Union(unit.Held)
		}
	}
	return cpus, held
}

// fill adds free cores to a record until it has its size: those nearest to the
// given CPUs, or wherever is best where there are none.
func (a *Allocator) fill(r *record, near cpuset.Set) error {
	a.rebind(r)
	missing := r.size - r.cpus.Len()
	if missing <= 0 {
		return nil
	}
	free := a.free.Units()
	for index := range r.held.All() {
		if n, unit := a.grid.UnitOf(index); unit != nil {
			free.Clear(n)
		}
	}
	if left := free.Len(); left < missing {
		return &ShortageError{Asked: r.size, Free: left + r.cpus.Len()}
	}
	if near.Intersect(a.topo.Online).IsEmpty() {
		a.trial.Set(&free)
		picked, err := a.pick(missing, a.trial)
		if err != nil {
			return err
		}
		r.cpus, r.held, r.reason = r.cpus.Union(picked.cpus), r.held.Union(picked.held), picked.reason
		return nil
	}
	picked := a.grid.Nearest(&free, near, missing)
	bind, held := a.grid.CPUs(&picked)
	r.reason = "the nearest free cores to those it had"
	if !r.cpus.IsEmpty() {
		r.reason = "kept what was free of the cores it had, filled up with the nearest"
	}
	r.cpus, r.held = r.cpus.Union(bind), r.held.Union(held)
	return nil
}

// rebind binds to cores the record still holds but lost the bound thread of.
func (a *Allocator) rebind(r *record) {
	for index := range r.held.All() {
		_, unit := a.grid.UnitOf(index)
		if unit == nil || r.cpus.Len() >= r.size {
			continue
		}
		if !unit.Held.Overlaps(r.cpus) && unit.Held.SubsetOf(r.held) {
			r.cpus.Add(unit.Bind)
		}
	}
}

// Move gives a displaced lease its full size again: it keeps the cores it still
// has and gets the nearest free ones for those it lost. old is the lease as it
// was before it was displaced. A lease that is not displaced stays as it is, and
// old equals new. The error is a *ShortageError where too few cores are free (the
// lease keeps what it has and stays displaced), ErrNoLease for an unknown owner.
func (a *Allocator) Move(owner string) (old, new Lease, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.leases[owner]
	if r == nil {
		return Lease{}, Lease{}, ErrNoLease
	}
	old = a.lease(r)
	if !r.displaced() {
		return old, old, nil
	}
	old.CPUs, old.NUMANodes = r.before, a.topo.NodesOf(r.before)
	moved := *r
	if err := a.fill(&moved, r.before.Union(r.held)); err != nil {
		return old, a.lease(r), err
	}
	moved.before = cpuset.Set{}
	a.leases[owner] = &moved
	a.extendToSiblings()
	a.refresh()
	return old, a.lease(&moved), nil
}
