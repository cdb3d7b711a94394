// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// Claim leases to an owner that outlived a restart those of the wanted CPUs that can
// be had, and no others. Where some cannot, the lease is displaced, and Move makes
// good for them. So whoever claims for several owners first, and moves only then,
// gives nobody a core that another one of them already has. The error is
// ErrAlreadyLeased, or ErrNoCores for an empty set.
//
// specific says that the CPUs were reserved for the owner, as by Reserve: they
// are held without their siblings and need not be managed. Unlike Reserve,
// claiming displaces nobody.
func (a *Allocator) Claim(owner string, wanted cpuset.Set, specific bool) (Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.checkRequest(owner, wanted); err != nil {
		return Lease{}, err
	}
	r := &record{owner: owner, size: wanted.Len(), reason: "the same cores as before"}
	if specific {
		a.claimReserved(r, wanted)
	} else {
		a.claimPicked(r, wanted)
	}
	if r.cpus != wanted {
		r.before = wanted
	}
	a.leases[owner] = r
	a.refresh()
	return a.lease(r), nil
}

// claimReserved gives a record those CPUs of its reservation that nobody else holds.
func (a *Allocator) claimReserved(r *record, wanted cpuset.Set) {
	r.cpus = wanted.Intersect(a.topo.Online)
	for _, other := range a.leases {
		r.cpus = r.cpus.Difference(other.held)
	}
	r.held, r.fixed = r.cpus, r.cpus
	r.reason = "the cores that were reserved for it, as before"
}

// claimPicked gives a record those of the wanted CPUs that are still free, with what
// they hold.
func (a *Allocator) claimPicked(r *record, wanted cpuset.Set) {
	r.cpus, r.held = wanted, a.withSiblings(wanted)
	if !a.canHold(r.held) {
		r.cpus, r.held = a.stillFree(wanted)
	}
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
// old equals now. The error is a *ShortageError where too few cores are free (the
// lease keeps what it has and stays displaced), ErrNoLease for an unknown owner.
func (a *Allocator) Move(owner string) (old, now Lease, err error) {
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
