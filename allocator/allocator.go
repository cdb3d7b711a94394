// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"cmp"
	"slices"
	"sync"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/internal/grid"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
)

// Allocator gives out leases on the CPUs it manages. All methods may be called
// from several goroutines; each is one atomic step.
type Allocator struct {
	opts Options

	mu          sync.Mutex // guards all below; no other lock is taken under it
	topo        *topology.Topology
	managed     cpuset.Set // online and usable
	unavailable cpuset.Set // reserved for others, as given to SetUnavailable
	grid        *grid.Grid
	leases      map[string]*record
	free        *grid.Free // units that can be given out
	trial       *grid.Free // units that a plan, or a move, may use: working space
}

// New returns an allocator for the managed CPUs of the machine: those it may
// give out at all. CPUs that are offline or unknown to the topology are left
// out. Options that are not valid count as their defaults; see Validate.
func New(topo *topology.Topology, managed cpuset.Set, opts Options) *Allocator {
	a := &Allocator{opts: opts, leases: map[string]*record{}}
	a.buildGrid(topo, managed)
	return a
}

// buildGrid takes over a topology. The lock is held, or nobody else knows a yet.
func (a *Allocator) buildGrid(topo *topology.Topology, managed cpuset.Set) {
	a.topo = topo
	a.managed = managed.Intersect(topo.Online)
	a.grid = grid.New(topo, a.managed, grid.Options{WholeCores: a.opts.isolate(), Scatter: a.opts.scatter()})
	a.free, a.trial = a.grid.NewFree(), a.grid.NewFree()
	a.refresh()
}

// refresh finds the free units anew: those no CPU of which is held or reserved.
// In isolate mode a taken sibling takes its core, also where the allocator does
// not manage that sibling.
func (a *Allocator) refresh() {
	taken := a.taken()
	if a.opts.isolate() {
		taken = a.topo.CoresOf(taken)
	}
	free := a.grid.Without(taken)
	a.free.Set(&free)
}

// taken returns the CPUs that are held by leases or reserved for others.
func (a *Allocator) taken() cpuset.Set {
	taken := a.unavailable
	for _, r := range a.leases {
		taken = taken.Union(r.held)
	}
	return taken
}

// Allocate leases n cores to the owner: physical cores in isolate mode, logical
// CPUs in share mode, placed by the layout. The error is a *ShortageError where
// fewer are free, ErrAlreadyLeased where the owner has a lease, ErrNoCores
// where n < 1.
func (a *Allocator) Allocate(owner string, n int) (Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.allocate(owner, n)
}

// AllocateSpare is Allocate for an owner that can wait: it leaves as many cores free
// as displaced leases lack, and others more. The error is a *ShortageError where that
// cannot be.
func (a *Allocator) AllocateSpare(owner string, n, others int) (Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.leases {
		if r.displaced() {
			others += max(r.size-r.cpus.Len(), 0)
		}
	}
	if spare := max(a.free.Len()-others, 0); spare < n {
		return Lease{}, &ShortageError{Asked: n, Free: spare}
	}
	return a.allocate(owner, n)
}

// allocate is Allocate for callers that hold the lock.
func (a *Allocator) allocate(owner string, n int) (Lease, error) {
	if a.leases[owner] != nil {
		return Lease{}, ErrAlreadyLeased
	}
	r, err := a.pick(n, a.free)
	if err != nil {
		return Lease{}, err
	}
	r.owner = owner
	a.leases[owner] = r
	a.refresh()
	return a.lease(r), nil
}

// Plan returns the lease that Allocate would give to a job of n cores if the busy
// CPUs were held by somebody, too. Nothing is changed.
func (a *Allocator) Plan(n int, busy cpuset.Set) (Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.opts.isolate() {
		busy = a.topo.CoresOf(busy)
	}
	free, others := a.free.Units(), a.grid.Without(busy)
	free = free.And(&others)
	a.trial.Set(&free)
	r, err := a.pick(n, a.trial)
	if err != nil {
		return Lease{}, err
	}
	return a.lease(r), nil
}

// pick places n cores on the free units.
func (a *Allocator) pick(n int, free *grid.Free) (*record, error) {
	if n < 1 {
		return nil, ErrNoCores
	}
	placed, ok := a.grid.Place(free, n)
	if !ok {
		return nil, &ShortageError{Asked: n, Free: free.Len()}
	}
	r := &record{size: n}
	r.cpus, r.held = a.grid.CPUs(&placed.Units)
	r.reason = reason(a.grid.Facts(&placed), n, r.held.Len()-r.cpus.Len(), a.opts.scatter())
	return r, nil
}

// Release ends the owner's lease and returns it as it was; false where there
// was none, which is harmless.
func (a *Allocator) Release(owner string) (Lease, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.leases[owner]
	if r == nil {
		return Lease{}, false
	}
	delete(a.leases, owner)
	a.refresh()
	return a.lease(r), true
}

// Lease returns the owner's lease as it is now.
func (a *Allocator) Lease(owner string) (Lease, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.leases[owner]; r != nil {
		return a.lease(r), true
	}
	return Lease{}, false
}

// Leases returns all leases, ordered by owner.
func (a *Allocator) Leases() []Lease {
	a.mu.Lock()
	defer a.mu.Unlock()
	leases := make([]Lease, 0, len(a.leases))
	for _, r := range a.leases {
		leases = append(leases, a.lease(r))
	}
	sortByOwner(leases)
	return leases
}

func sortByOwner(leases []Lease) {
	slices.SortFunc(leases, func(x, y Lease) int { return cmp.Compare(x.Owner, y.Owner) })
}

// SetPID notes the owner's process in its lease; an unknown owner is ignored.
func (a *Allocator) SetPID(owner string, pid int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.leases[owner]; r != nil {
		r.pid = pid
	}
}

// Available returns the number of cores that Allocate could give out now.
func (a *Allocator) Available() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.free.Len()
}

// Free returns the managed CPUs that nobody holds and that are not reserved for
// others. In isolate mode some may be siblings of a core that is not free.
func (a *Allocator) Free() cpuset.Set {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.managed.Difference(a.taken())
}

// Unavailable returns the CPUs that are reserved for others, as SetUnavailable was told.
func (a *Allocator) Unavailable() cpuset.Set {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.unavailable
}

// Managed returns the CPUs that the allocator may give out.
func (a *Allocator) Managed() cpuset.Set {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.managed
}

// Topology returns the machine as the allocator sees it now.
func (a *Allocator) Topology() *topology.Topology {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.topo
}

// Options returns the settings the allocator was made with.
func (a *Allocator) Options() Options { return a.opts }

// lease makes the caller's copy of a record.
func (a *Allocator) lease(r *record) Lease {
	return Lease{
		Owner: r.owner, CPUs: r.cpus, Held: r.held, NUMANodes: a.topo.NodesOf(r.cpus),
		Reason: r.reason, Reserved: !r.fixed.IsEmpty(), Displaced: r.displaced(), PID: r.pid,
	}
}
