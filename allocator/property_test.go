// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"errors"
	"fmt"
	"math/rand"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
)

func randomOptions(r *rand.Rand) Options {
	return Options{
		SMT:    []SMT{SMTIsolate, SMTShare}[r.Intn(2)],
		Layout: []Layout{LayoutPack, LayoutScatter}[r.Intn(2)],
	}
}

// world is an allocator under random operations, and what must be true of it.
type world struct {
	t       *testing.T
	r       *rand.Rand
	full    *topology.Topology // with all its CPUs online
	topo    *topology.Topology
	managed cpuset.Set
	others  cpuset.Set // SetUnavailable
	a       *Allocator
	sizes   map[string]int
	opts    Options
	log     []string
}

func newWorld(t *testing.T, r *rand.Rand) *world {
	w := &world{t: t, r: r, opts: randomOptions(r), sizes: map[string]int{}}
	w.full = topologytest.Random(r)
	w.topo, w.managed = w.full, w.full.Online
	if r.Intn(2) == 0 {
		w.managed = topologytest.RandomPart(r, w.full.Online, 6)
	}
	w.a = New(w.topo, w.managed, w.opts)
	return w
}

func (w *world) owner() string { return fmt.Sprintf("job%d", w.r.Intn(8)) }

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func TestInvariants_underRandomOperations(t *testing.T) {
	for seed := range int64(300) {
		w := newWorld(t, rand.New(rand.NewSource(seed)))
		for range 60 {
			w.step()
			w.check(seed)
		}
	}
}

func (w *world) step() {
	owner := w.owner()
	switch w.r.Intn(9) {
	case 0, 1, 2:
		w.allocate(owner)
	case 3:
		lease, had := w.a.Release(owner)
		w.note("release %s: %v", owner, had)
		if again, twice := w.a.Release(owner); twice {
			w.fail("released twice: %v", again)
		}
		if had && lease.Owner != owner {
			w.fail("released another's lease")
		}
		delete(w.sizes, owner)
	case 4, 5:
		w.reserve(owner)
	case 6:
		w.others = topologytest.RandomPart(w.r, w.topo.Online, 2).Difference(topologytest.RandomPart(w.r, w.topo.Online, 3))
		w.note("unavailable %s", w.others)
		w.move(w.a.SetUnavailable(w.others))
	case 7:
		w.topo = topologytest.Only(w.full, topologytest.RandomPart(w.r, w.full.Online, 10))
		w.managed = topologytest.RandomPart(w.r, w.full.Online, 12)
		w.note("online %s managed %s", w.topo.Online, w.managed)
		displaced := w.a.SetManaged(w.topo, w.managed)
		w.managed = w.managed.Intersect(w.topo.Online)
		w.move(displaced)
	case 8:
		w.restart(owner)
	}
}

func (w *world) allocate(owner string) {
	n := 1 + w.r.Intn(10)
	_, had := w.a.Lease(owner)
	available := w.a.Available()
	plan, planErr := w.a.Plan(n, cpuset.Set{})
	lease, err := w.a.Allocate(owner, n)
	w.note("allocate %s %d of %d: %s %v", owner, n, available, lease.CPUs, err)
	var shortage *ShortageError
	switch {
	case had:
		if !errors.Is(err, ErrAlreadyLeased) {
			w.fail("a second lease: %v", err)
		}
	case n > available:
		if !errors.As(err, &shortage) || shortage.Asked != n || shortage.Free != available {
			w.fail("no shortage: %v", err)
		}
	case err != nil:
		w.fail("fails with %d free: %v", available, err)
	default:
		if planErr != nil || plan.CPUs != lease.CPUs || plan.Reason != lease.Reason {
			w.fail("plan said %s %v", plan.CPUs, planErr)
		}
		if lease.CPUs.Len() != n || lease.Reason == "" {
			w.fail("%d CPUs for %d: %q", lease.CPUs.Len(), n, lease.Reason)
		}
		w.sizes[owner] = n
	}
}

func (w *world) reserve(owner string) {
	cpus := topologytest.RandomPart(w.r, w.topo.Online, 2).Difference(topologytest.RandomPart(w.r, w.topo.Online, 4))
	lease, displaced, err := w.a.Reserve(owner, cpus)
	w.note("reserve %s %s: %v", owner, cpus, err)
	if err != nil {
		return
	}
	if lease.CPUs != cpus || lease.Held != cpus {
		w.fail("got %s, holds %s", lease.CPUs, lease.Held)
	}
	w.sizes[owner] = cpus.Len()
	w.move(displaced)
}

// move re-places displaced leases, as a driver does.
func (w *world) move(displaced []Lease) {
	for _, was := range displaced {
		now, ok := w.a.Lease(was.Owner)
		if !ok || !now.Displaced {
			w.fail("%s was displaced and is not: %v", was.Owner, now)
		}
		old, moved, err := w.a.Move(was.Owner)
		w.note("move %s from %s to %s: %v", was.Owner, old.CPUs, moved.CPUs, err)
		var shortage *ShortageError
		if err != nil && !errors.As(err, &shortage) {
			w.fail("cannot move: %v", err)
		}
		if err == nil && (moved.Displaced || moved.CPUs.Len() != w.sizes[was.Owner]) {
			w.fail("moved to %s, not %d CPUs", moved.CPUs, w.sizes[was.Owner])
		}
		if err == nil && !now.CPUs.SubsetOf(moved.CPUs) {
			w.fail("gave up cores it could keep")
		}
	}
}

// restart gives the lease of one owner up and restores it.
func (w *world) restart(owner string) {
	lease, had := w.a.Release(owner)
	if !had || lease.CPUs.IsEmpty() || lease.Displaced {
		delete(w.sizes, owner)
		return
	}
	again, how, err := restore(w.a, owner, lease.CPUs, lease.Reserved)
	w.note("restore %s %s: %s %v %v", owner, lease.CPUs, again.CPUs, how, err)
	if err != nil {
		// A former reservation can be taken by others meanwhile; a picked lease not.
		if !lease.Reserved {
			w.fail("cannot restore what was just given up: %v", err)
		}
		delete(w.sizes, owner)
		return
	}
	if (how == same) != (again.CPUs == lease.CPUs) {
		w.fail("says %s", how)
	}
	w.sizes[owner] = lease.CPUs.Len()
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	for _, line := range w.log {
		w.t.Log(line)
	}
	w.t.Fatalf("%v: %s", w.opts, fmt.Sprintf(format, args...))
}

// check tests what must be true at any time.
func (w *world) check(seed int64) {
	w.t.Helper()
	w.note("seed %d", seed)
	w.log = w.log[:len(w.log)-1]
	var held cpuset.Set
	for _, lease := range w.a.Leases() {
		if lease.Held.Overlaps(held) { // invariant 1
			w.fail("seed %d: %s shares %s", seed, lease.Owner, lease.Held.Intersect(held))
		}
		held = held.Union(lease.Held)
		w.checkLease(lease)
	}
	free := w.a.Free()
	reserved := w.others.Intersect(w.managed).Difference(held)
	if free.Overlaps(held) || free.Overlaps(reserved) || // invariant 5
		free.Union(held.Intersect(w.managed)).Union(reserved) != w.managed {
		w.fail("seed %d: free %s, held %s, reserved %s, managed %s", seed, free, held, reserved, w.managed)
	}
	if w.a.Managed() != w.managed {
		w.fail("seed %d: managed %s", seed, w.a.Managed())
	}
}

func (w *world) checkLease(lease Lease) {
	w.t.Helper()
	size := w.sizes[lease.Owner]
	if !lease.CPUs.SubsetOf(lease.Held) || !lease.Displaced && lease.CPUs.Len() != size { // invariant 3
		w.fail("%s is bound to %s (%d asked), holds %s", lease.Owner, lease.CPUs, size, lease.Held)
	}
	if lease.Reserved {
		if !lease.CPUs.SubsetOf(w.topo.Online) {
			w.fail("%s is bound to %s, offline", lease.Owner, lease.CPUs)
		}
		return
	}
	if !lease.Held.SubsetOf(w.managed) || lease.Held.Overlaps(w.others) { // invariant 2
		w.fail("%s holds %s, reserved are %s", lease.Owner, lease.Held, w.others)
	}
	if w.opts.isolate() && w.topo.CoresOf(lease.Held).Intersect(w.managed) != lease.Held { // invariant 4
		w.fail("%s holds %s, not whole cores", lease.Owner, lease.Held)
	}
	must.Eq(w.t, w.topo.NodesOf(lease.CPUs), lease.NUMANodes)
}
