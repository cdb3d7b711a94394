// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
)

// everyOptions are the four ways to place.
var everyOptions = []Options{
	{SMTIsolate, LayoutPack}, {SMTIsolate, LayoutScatter}, {SMTShare, LayoutPack}, {SMTShare, LayoutScatter},
}

// withIsolated is a machine of two L3 caches with four cores each, CPUs 0-7 and
// their siblings 8-15; the cores of some CPUs are isolated, or without timer tick.
func withIsolated(isolated, tickless cpuset.Set) *topology.Topology {
	topo := topologytest.Of(1, 1, 2, 4, 2).Topology()
	topo.Isolated, topo.NoHzFull = topo.CoresOf(isolated), topo.CoresOf(tickless)
	return topo
}

func TestAllocate_isolatedCoresFirstAndNeverMixedUnlessNothingElseIsLeft(t *testing.T) {
	topo := withIsolated(cpuset.Range(4, 7), cpuset.Set{})
	for _, opts := range everyOptions {
		a := New(topo, topo.Online, opts)
		isolated, err := a.Allocate("first", 3)
		must.NoError(t, err)
		must.True(t, isolated.Held.SubsetOf(topo.Isolated), must.Sprintf("%v: %s", opts, isolated.Held))
		must.StrContains(t, isolated.Reason, "isolated from the scheduler (isolcpus)")
		n := a.Available()
		ordinary := topo.Online.Difference(topo.Isolated)
		most := ordinary.Len() // units there are of ordinary CPUs
		if opts.isolate() {
			most /= 2
		}
		second, err := a.Plan(most, cpuset.Set{})
		must.NoError(t, err)
		must.True(t, second.Held.SubsetOf(ordinary), must.Sprintf("%v: %s", opts, second.Held))
		must.StrNotContains(t, second.Reason, "isolcpus")
		third, err := a.Plan(n, cpuset.Set{})
		must.NoError(t, err)
		must.Eq(t, n, third.CPUs.Len())
		must.StrContains(t, third.Reason, "isolated cores (isolcpus) and others mixed, because neither has enough free")
	}
}

func TestAllocate_prefersCoresWithoutTickWhereThatCostsNothing(t *testing.T) {
	for _, tc := range []struct {
		name     string
		tickless cpuset.Set
		layout   Layout
		n        int
		want     string
		quiet    bool
	}{
		{"a whole cache without tick", cpuset.Range(0, 3), LayoutPack, 2, "0-1", true},
		{"one in each cache: one cache is worth more", cpuset.Of(1, 5), LayoutPack, 2, "4-5", false},
		{"too few", cpuset.Range(4, 7), LayoutPack, 5, "", false},
		{"all of them", cpuset.Range(0, 7), LayoutPack, 2, "4-5", false},
		{"as even", cpuset.Of(1, 5), LayoutScatter, 2, "1,5", true},
		{"less even", cpuset.Range(4, 6), LayoutScatter, 2, "0,4", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			topo := withIsolated(cpuset.Set{}, tc.tickless)
			lease, err := New(topo, topo.Online, Options{Layout: tc.layout}).Plan(tc.n, cpuset.Set{})
			must.NoError(t, err)
			must.Eq(t, tc.n, lease.CPUs.Len())
			if tc.want != "" {
				must.Eq(t, tc.want, lease.CPUs.String())
			}
			must.Eq(t, tc.quiet, lease.CPUs.SubsetOf(tc.tickless) && tc.tickless.Len() < 8)
			if tc.quiet {
				must.StrContains(t, lease.Reason, "without timer tick (nohz_full)")
			} else {
				must.StrNotContains(t, lease.Reason, "nohz_full")
			}
		})
	}
}

func TestMove_aJobOnIsolatedCoresStaysOnSuch(t *testing.T) {
	topo := withIsolated(cpuset.Of(0, 1, 6, 7), cpuset.Set{})
	a := New(topo, topo.Online, Options{})
	lease, err := a.Allocate("job", 2)
	must.NoError(t, err)
	must.True(t, lease.CPUs.SubsetOf(topo.Isolated))
	lost := lease.CPUs.First()
	must.Len(t, 1, a.SetUnavailable(cpuset.Of(lost)))
	_, moved, err := a.Move("job")
	must.NoError(t, err)
	must.Eq(t, 2, moved.CPUs.Len())
	must.True(t, moved.CPUs.SubsetOf(topo.Isolated), must.Sprint(moved.CPUs))
}
