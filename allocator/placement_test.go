// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
)

// TestAllocate_bindsToOneThreadOfEachCore is invariant 4 for picked leases.
func TestAllocate_bindsToOneThreadOfEachCore(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	for range 300 {
		topo := topologytest.Random(r)
		a := New(topo, topo.Online, Options{})
		lease, err := a.Allocate("job", 1+r.Intn(topo.PhysicalCores()))
		must.NoError(t, err)
		must.True(t, topo.CoresOf(lease.CPUs) == lease.Held)
		for _, core := range topo.CoreSets() {
			must.LessEq(t, 1, core.Intersect(lease.CPUs).Len())
		}
	}
}

// TestAllocate_isDeterministic is invariant 6: the same history, the same cores.
func TestAllocate_isDeterministic(t *testing.T) {
	for seed := range int64(40) {
		var first []Lease
		for run := range 3 {
			w := newWorld(t, rand.New(rand.NewSource(seed)))
			for range 40 {
				w.step()
			}
			if run == 0 {
				first = w.a.Leases()
			}
			must.Eq(t, first, w.a.Leases(), must.Sprintf("seed %d", seed))
		}
	}
}

// TestRelease_undoesAllocate is invariants 7 and 8.
func TestRelease_undoesAllocate(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	for range 200 {
		topo := topologytest.Random(r)
		a := New(topo, topologytest.RandomPart(r, topo.Online, 8), randomOptions(r))
		for i := range 4 {
			_, _ = a.Allocate(fmt.Sprint("other", i), 1+r.Intn(4))
		}
		before, free := a.free.Units(), a.Free()
		lease, err := a.Allocate("job", 1+r.Intn(6))
		if err != nil {
			continue
		}
		_, ok := a.Release("job")
		must.True(t, ok)
		must.Eq(t, before, a.free.Units())
		must.Eq(t, free, a.Free())

		restored, how, err := restore(a, "job", lease.CPUs, false)
		must.NoError(t, err)
		must.Eq(t, same, how)
		must.Eq(t, lease.CPUs, restored.CPUs)
		must.Eq(t, lease.Held, restored.Held)
	}
}

// TestAllocate_numberingOfCPUsDoesNotMatter is invariant 10: the same physical
// cores are free, so the same caches give the same number of cores, whatever the
// CPUs are called.
func TestAllocate_numberingOfCPUsDoesNotMatter(t *testing.T) {
	r := rand.New(rand.NewSource(4))
	for range 200 {
		s := topologytest.Of(1+r.Intn(3), 1+r.Intn(3), 1+r.Intn(4), 1+r.Intn(6), 1+r.Intn(2))
		plain := s.Topology()
		names := r.Perm(plain.LogicalCores())
		other := s.Renumbered(names)
		opts := randomOptions(r)
		a, b := New(plain, plain.Online, opts), New(other, other.Online, opts)
		var busy, busyToo cpuset.Set
		for i, name := range names {
			if r.Intn(3) == 0 {
				busy.Add(i)
				busyToo.Add(name)
			}
		}
		n := 1 + r.Intn(8)
		lease, err := a.Plan(n, busy)
		leaseToo, errToo := b.Plan(n, busyToo)
		must.Eq(t, err, errToo)
		must.Eq(t, perCache(plain, lease.CPUs), perCache(other, leaseToo.CPUs))
		must.Eq(t, lease.Reason, leaseToo.Reason)
	}
}

func perCache(topo *topology.Topology, cpus cpuset.Set) map[int]int {
	count := map[int]int{}
	for index := range cpus.All() {
		cpu, _ := topo.CPU(index)
		count[cpu.L3]++
	}
	return count
}
