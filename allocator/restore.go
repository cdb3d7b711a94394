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
// reserved says that the CPUs were the owner's by Reserve: they are then held
// without their siblings and need not be managed. A restored reservation
// displaces nobody; where it has to, use Reserve.
func (a *Allocator) Restore(owner string, wanted cpuset.Set, reserved bool) (Lease, Restored, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.mayLease(owner, wanted); err != nil {
		return Lease{}, RestoredOther, err
	}
	if a.restoreSame(owner, wanted, reserved) {
		a.refresh()
		return a.lease(a.leases[owner]), RestoredSame, nil
	}
	r := &record{owner: owner, size: wanted.Len()}
	r.cpus, r.held = a.keepable(wanted)
	kept := r.cpus
	if err := a.fill(r, wanted); err != nil {
		return Lease{}, RestoredOther, err
	}
	a.leases[owner] = r
	a.refresh()
	if kept.IsEmpty() {
		return a.lease(r), RestoredOther, nil
	}
	return a.lease(r), RestoredPartly, nil
}

// restoreSame leases the wanted CPUs where nothing is in the way.
func (a *Allocator) restoreSame(owner string, wanted cpuset.Set, reserved bool) bool {
	if !reserved {
		if a.conflict(wanted, a.whole(wanted)) != nil {
			return false
		}
		a.exactly(owner, wanted, "the same cores as before")
		return true
	}
	var held cpuset.Set
	for _, r := range a.leases {
		held = held.Union(r.held)
	}
	if !wanted.SubsetOf(a.topo.Online) || wanted.Overlaps(held) {
		return false
	}
	a.leases[owner] = &record{owner: owner, size: wanted.Len(), cpus: wanted, held: wanted, reserved: true,
		reason: "the cores that were reserved for it, as before"}
	return true
}

// keepable returns those of the wanted CPUs that can be had, with what they hold.
func (a *Allocator) keepable(wanted cpuset.Set) (cpus, held cpuset.Set) {
	for index := range wanted.All() {
		if u := a.grid.unitOf[index]; u != None && a.free.has(u) {
			cpus.Add(index)
			held = held.Union(a.grid.units[u].held)
		}
	}
	return cpus, held
}

// fill adds free cores to a record until it has its size, nearest to the given
// CPUs first.
func (a *Allocator) fill(r *record, near cpuset.Set) error {
	missing := r.size - r.cpus.Len()
	if missing <= 0 {
		return nil
	}
	var own bitmap
	free := a.free
	for index := range r.held.All() {
		if u := a.grid.unitOf[index]; u != None {
			own.set(u)
			free.clear(u)
		}
	}
	if left := free.count(0, len(a.grid.units)); left < missing {
		return &ShortageError{Asked: r.size, Free: left + r.cpus.Len()}
	}
	if r.cpus.IsEmpty() {
		picked, tier := a.grid.place(&free, r.size, a.opts.scatter())
		r.cpus, r.held = a.grid.cpusOf(&picked)
		r.reason = a.grid.reason(&picked, &free, tier, a.opts)
		return nil
	}
	picked := a.grid.nearest(&free, near, missing)
	bind, held := a.grid.cpusOf(&picked)
	r.cpus, r.held = r.cpus.Union(bind), r.held.Union(held)
	r.reason = "kept what was free of the cores it had, filled up with the nearest"
	return nil
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
	if err := a.fill(&moved, r.before); err != nil {
		return old, a.lease(r), err
	}
	moved.before, moved.reserved = cpuset.Set{}, false
	a.leases[owner] = &moved
	a.refresh()
	return old, a.lease(&moved), nil
}

// SetManaged takes over a new state of the machine: CPUs that went on- or
// offline, or that became usable or ceased to be. Leases that lost a CPU they
// are bound to are returned as they were; each is to be re-placed with Move. An
// idle sibling that comes or goes changes what a lease holds, not where it runs.
func (a *Allocator) SetManaged(topo *Topology, managed cpuset.Set) (displaced []Lease) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := make(map[string]Lease, len(a.leases))
	for owner, r := range a.leases {
		was[owner] = a.lease(r)
	}
	a.lay(topo, managed)
	for owner, r := range a.leases {
		legal := a.managed
		if r.reserved {
			legal = topo.Online
		}
		if !r.cpus.SubsetOf(legal) {
			displaced = append(displaced, was[owner])
			if !r.displaced() {
				r.before = r.cpus
			}
		}
		r.cpus, r.held = r.cpus.Intersect(legal), r.held.Intersect(legal)
	}
	a.adoptSiblings()
	sortByOwner(displaced)
	a.refresh()
	return displaced
}

// adoptSiblings adds siblings that came online to the leases that hold their
// core in isolate mode.
func (a *Allocator) adoptSiblings() {
	if !a.opts.isolate() {
		return
	}
	taken := a.taken()
	for _, r := range a.leases {
		if r.reserved {
			continue
		}
		more := a.topo.CoresOf(r.held).Intersect(a.managed).Difference(taken)
		r.held = r.held.Union(more)
		taken = taken.Union(more)
	}
}
