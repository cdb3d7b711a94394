// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
)

// xeon is a machine of 2 packages, each one node and one cache of 4 cores with 2
// threads: CPUs 0-3 and 4-7, siblings 8-11 and 12-15.
func xeon() *topology.Topology { return topologytest.Of(2, 1, 1, 4, 2).Topology() }

func parse(t testing.TB, list string) cpuset.Set {
	t.Helper()
	set, err := cpuset.Parse(list)
	must.NoError(t, err)
	return set
}

func allocate(t testing.TB, a *Allocator, owner string, n int) Lease {
	t.Helper()
	lease, err := a.Allocate(owner, n)
	must.NoError(t, err)
	return lease
}

func TestAllocate_placesByTheOptions(t *testing.T) {
	for _, tc := range []struct {
		name       string
		opts       Options
		busy       string
		n          int
		cpus, held string
		nodes      []int
		reason     string
	}{
		{
			"isolate binds to one thread and holds both",
			Options{},
			"", 4, "0-3", "0-3,8-11",
			[]int{0},
			"fits one L3 cache, the tightest of 2 with room; 4 sibling threads left idle",
		},
		{
			"share takes whole cores",
			Options{SMT: SMTShare},
			"", 4, "0-1,8-9", "0-1,8-9",
			[]int{0},
			"fits one L3 cache, the tightest of 2 with room",
		},
		{
			"share takes the thread of a broken core before it breaks another",
			Options{SMT: SMTShare},
			"0", 3, "1,8-9", "1,8-9",
			[]int{0},
			"fits one L3 cache, the tightest of 2 with room",
		},
		{
			"no hole is filled across packages",
			Options{},
			"0-1", 4, "4-7", "4-7,12-15",
			[]int{1},
			"fits one L3 cache, the only one with room; 4 sibling threads left idle",
		},
		{
			"the tightest fit",
			Options{},
			"4", 3, "5-7", "5-7,13-15",
			[]int{1},
			"fits one L3 cache, the tightest of 2 with room; 3 sibling threads left idle",
		},
		{
			"more than a package has",
			Options{},
			"1", 5, "0,4-7", "0,4-8,12-15",
			[]int{0, 1},
			"no package has 5 cores free, so 2 packages, 2 NUMA nodes and 2 L3 caches; 5 sibling threads left idle",
		},
		{
			"scatter is even",
			Options{Layout: LayoutScatter},
			"", 4, "0-1,4-5", "0-1,4-5,8-9,12-13",
			[]int{0, 1},
			"spread evenly over 2 NUMA nodes and 2 L3 caches; 4 sibling threads left idle",
		},
		{
			"a busy sibling takes the core",
			Options{},
			"8", 4, "4-7", "4-7,12-15",
			[]int{1},
			"fits one L3 cache, the only one with room; 4 sibling threads left idle",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			topo := xeon()
			a := New(topo, topo.Online, tc.opts)
			plan, err := a.Plan(tc.n, parse(t, tc.busy))
			must.NoError(t, err)
			must.Eq(t, tc.held, plan.Held.String())
			must.Eq(t, tc.nodes, plan.NUMANodes)
			must.Eq(t, tc.reason, plan.Reason)
			must.Eq(t, tc.cpus, plan.CPUs.String())
		})
	}
}

// TestAllocate_unevenThreads: Kubernetes reasons with the average number of
// threads, and gives CPU 4, which is in use, where {0-2,5-6} are free and 2 asked.
func TestAllocate_unevenThreads(t *testing.T) {
	topo := topologytest.Only(topologytest.Of(1, 1, 1, 4, 2).Topology(), parse(t, "0-2,4-6")) // siblings 0,4 1,5 2,6
	a := New(topo, topo.Online, Options{SMT: SMTShare})
	lease, err := a.Plan(2, parse(t, "4"))
	must.NoError(t, err)
	must.Eq(t, "1,5", lease.CPUs.String())
}

func hybrid() *topology.Topology { // cache 0: 2 fast cores with 2 threads; cache 1: 2 slow ones with 1
	topo := topologytest.Of(1, 1, 2, 2, 2).Topology()
	for i := range topo.CPUs {
		if topo.CPUs[i].L3 == 1 {
			topo.CPUs[i].Kind = topology.Efficiency
		}
	}
	return topologytest.Only(topo, topo.Online.Difference(cpuset.Of(6, 7)))
}

func TestAllocate_givesOneKindOfCore(t *testing.T) {
	for _, tc := range []struct {
		name, busy string
		n          int
		cpus, note string
	}{
		{"performance cores first", "", 2, "0-1", ""},
		{"efficiency cores where performance cores do not suffice", "0", 2, "2-3", "efficiency cores, because too few performance cores are free"},
		{"never a mix where one kind does", "0", 1, "1", ""},
		{"a mix where nothing else can do", "0", 3, "1-3", "mixed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			topo := hybrid()
			lease, err := New(topo, topo.Online, Options{}).Plan(tc.n, parse(t, tc.busy))
			must.NoError(t, err)
			must.Eq(t, tc.cpus, lease.CPUs.String())
			must.StrContains(t, lease.Reason, tc.note)
			if tc.note == "" {
				must.StrNotContains(t, lease.Reason, "efficiency")
			}
		})
	}
}

func TestAllocate_prefersCoresThatAreWhollyManaged(t *testing.T) {
	topo := xeon()
	a := New(topo, parse(t, "1-15"), Options{}) // CPU 0 is the system's
	lease := allocate(t, a, "job", 7)
	must.Eq(t, "1-7", lease.CPUs.String())
	lease = allocate(t, a, "last", 1)
	must.Eq(t, "8", lease.CPUs.String())
	must.StrContains(t, lease.Reason, "not this driver's")
}

func TestAllocate_oneThreadOfEachCoreMayBeManaged(t *testing.T) {
	a := New(xeon(), parse(t, "0-7"), Options{}) // the operator listed no siblings
	must.Eq(t, 8, a.Available())
	must.Eq(t, "0-3", allocate(t, a, "job", 4).Held.String())
}

func TestAllocate_refuses(t *testing.T) {
	topo := xeon()
	a := New(topo, topo.Online, Options{})
	allocate(t, a, "job", 6)
	_, err := a.Allocate("other", 4)
	var shortage *ShortageError
	must.True(t, errors.As(err, &shortage))
	must.Eq(t, ShortageError{Asked: 4, Free: 2}, *shortage)
	must.EqError(t, err, "4 cores asked, 2 free")
	_, err = a.Allocate("job", 1)
	must.ErrorIs(t, err, ErrAlreadyLeased)
	for _, n := range []int{0, -1} {
		_, err = a.Allocate("other", n)
		must.ErrorIs(t, err, ErrNoCores)
	}
}

func TestRelease_harmlessWithoutALease(t *testing.T) {
	a := New(xeon(), xeon().Online, Options{})
	_, ok := a.Release("nobody")
	must.False(t, ok)
	allocate(t, a, "job", 1)
	a.SetPID("nobody", 1)
	_, ok = a.Release("job")
	must.True(t, ok)
	_, ok = a.Release("job")
	must.False(t, ok)
	must.Eq(t, 8, a.Available())
}

func TestDescribe(t *testing.T) {
	for want, lease := range map[string]Lease{
		"no cores":                                  {},
		"core 3 (1 core, NUMA node 1)":              {CPUs: cpuset.Of(3), NUMANodes: []int{1}},
		"cores 4-11 (8 cores, NUMA node 0)":         {CPUs: cpuset.Range(4, 11), NUMANodes: []int{0}},
		"cores 0-1,8-9 (4 cores, NUMA nodes 0,255)": {CPUs: cpuset.Of(0, 1, 8, 9), NUMANodes: []int{0, 255}},
		"cores 0-1 (2 cores)":                       {CPUs: cpuset.Of(0, 1)},
	} {
		must.Eq(t, want, Describe(lease))
	}
}

func TestOptions_errorsSayWhatToWrite(t *testing.T) {
	must.NoError(t, Options{}.Validate())
	must.NoError(t, Options{SMT: SMTShare, Layout: LayoutScatter}.Validate())
	must.EqError(t, Options{SMT: "off"}.Validate(), `smt is "off": use "isolate" (one thread a physical core, siblings left idle) or "share" (siblings are cores too)`)
	must.EqError(t, Options{Layout: "even"}.Validate(), `layout is "even": use "pack" (fewest NUMA nodes and caches) or "scatter" (spread evenly over NUMA nodes)`)
	smt, err := ParseSMT("")
	must.NoError(t, err)
	must.Eq(t, SMTIsolate, smt)
	layout, err := ParseLayout("scatter")
	must.NoError(t, err)
	must.Eq(t, LayoutScatter, layout)
}

func TestNew_withNothingToManage(t *testing.T) {
	a := New(xeon(), cpuset.Set{}, Options{})
	_, err := a.Allocate("job", 1)
	must.EqError(t, err, "1 core asked, 0 free")
	_, _, err = restore(a, "job", cpuset.Of(1), false)
	must.EqError(t, err, "1 core asked, 0 free")
	must.True(t, a.Free().IsEmpty())
	must.Eq(t, 0, a.Available())
}

// TestLargestMachine has as many CPUs as a set has room for.
func TestLargestMachine(t *testing.T) {
	for _, s := range []topologytest.Shape{
		topologytest.Of(8, 4, 4, 8, 2), topologytest.Of(1, 1, 1, 2048, 1), topologytest.Of(2, 1, 1024, 1, 1),
	} {
		topo := s.Topology()
		must.Eq(t, cpuset.MaxCPUs, topo.LogicalCores())
		for _, opts := range []Options{{}, {SMT: SMTShare}, {Layout: LayoutScatter}} {
			a := New(topo, topo.Online, opts)
			n := a.Available()
			must.Eq(t, n, allocate(t, a, "all", n).CPUs.Len())
			must.Eq(t, 0, a.Available())
			a.Release("all")
			allocate(t, a, "some", n/3)
			must.Eq(t, n-n/3, a.Available())
		}
	}
}

// TestConcurrentUse is invariant 14: any interleaving leaves the leases disjoint.
func TestConcurrentUse(t *testing.T) {
	topo := topologytest.Of(2, 2, 2, 4, 2).Topology()
	a := New(topo, topo.Online, Options{})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewSource(int64(worker)))
			for range 200 {
				randomCall(a, topo, r, fmt.Sprint("job", r.Intn(6)))
				var held cpuset.Set
				for _, lease := range a.Leases() {
					if lease.Held.Overlaps(held) {
						t.Errorf("%s shares %s", lease.Owner, lease.Held.Intersect(held))
					}
					held = held.Union(lease.Held)
				}
			}
		})
	}
	wg.Wait()
	for _, lease := range a.Leases() {
		a.Release(lease.Owner)
	}
	a.SetUnavailable(cpuset.Set{})
	a.SetManaged(topo, topo.Online)
	must.Eq(t, topo.PhysicalCores(), a.Available())
}

func randomCall(a *Allocator, topo *topology.Topology, r *rand.Rand, owner string) {
	some := topologytest.RandomPart(r, topo.Online, 2)
	switch r.Intn(11) {
	case 0, 1:
		_, _ = a.Allocate(owner, 1+r.Intn(8))
	case 2, 3:
		_, _, _ = a.Reserve(owner, some)
	case 4:
		_, _ = a.Claim(owner, some, r.Intn(2) == 0)
	case 5:
		_, _, _ = a.Move(owner)
	case 6:
		a.SetUnavailable(topo.Online.Difference(topologytest.RandomPart(r, topo.Online, 10)))
	case 7:
		a.SetManaged(topologytest.Only(topo, topologytest.RandomPart(r, topo.Online, 10)), topo.Online)
	case 8:
		_, _ = a.Plan(1+r.Intn(8), some)
		a.SetPID(owner, r.Intn(100))
	case 9:
		a.Free()
		a.Topology()
	default:
		a.Release(owner)
	}
}
