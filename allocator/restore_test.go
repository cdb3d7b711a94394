// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
)

func TestReserve_takesPrecedence(t *testing.T) {
	topo := xeon()
	a := New(topo, parse(t, "0-7,8-15"), Options{})
	before := allocate(t, a, "picked", 3) // 0-2
	lease, displaced, err := a.Reserve("reserved", parse(t, "2,9"))
	must.NoError(t, err)
	must.Eq(t, "2,9", lease.CPUs.String())
	must.Eq(t, lease.CPUs, lease.Held)
	must.True(t, lease.Reserved)
	must.Eq(t, []Lease{before}, displaced)
	now, _ := a.Lease("picked")
	must.True(t, now.Displaced)
	must.Eq(t, "0", now.CPUs.String()) // cores 1 and 2 are shared with the reservation now

	old, moved, err := a.Move("picked")
	must.NoError(t, err)
	must.Eq(t, "0-2", old.CPUs.String())
	must.Eq(t, "0,3-4", moved.CPUs.String())
	must.Eq(t, "0,3-4,8,11-12", moved.Held.String())
	must.False(t, moved.Displaced)
	same, again, err := a.Move("picked")
	must.NoError(t, err)
	must.Eq(t, same, again)

	_, _, err = a.Reserve("second", parse(t, "9-10"))
	must.EqError(t, err, "cores 9-10 are not free: 9 held by reserved")
	_, _, err = a.Reserve("second", parse(t, "99"))
	must.ErrorContains(t, err, "99 offline")
	_, _, err = a.Reserve("second", cpuset.Set{})
	must.ErrorIs(t, err, ErrNoCores)
}

// Who can wait leaves what others are about to take.
func TestAllocateSpare(t *testing.T) {
	a := New(xeon(), parse(t, "0-3"), Options{})
	_, err := a.AllocateSpare("waits", 2, 3)
	must.EqError(t, err, "2 cores asked, 1 free")
	_, err = a.AllocateSpare("waits", 2, 99)
	must.EqError(t, err, "2 cores asked, 0 free")
	allocate(t, a, "job", 2) // 0-1
	a.SetUnavailable(parse(t, "0"))
	a.SetUnavailable(cpuset.Set{})
	_, err = a.AllocateSpare("waits", 3, 0)
	must.EqError(t, err, "3 cores asked, 2 free") // the displaced job lacks one
	lease, err := a.AllocateSpare("waits", 2, 0)
	must.NoError(t, err)
	must.Eq(t, 2, lease.CPUs.Len())
	_, _, err = a.Move("job")
	must.NoError(t, err)
	_, err = a.AllocateSpare("waits", 1, 0)
	must.ErrorContains(t, err, "0 free")
	a.Release("job")
	_, err = a.AllocateSpare("waits", 1, 0)
	must.ErrorIs(t, err, ErrAlreadyLeased)
}

func TestReserve_outsideTheManagedCPUs(t *testing.T) {
	a := New(xeon(), parse(t, "4-7"), Options{})
	lease, displaced, err := a.Reserve("reserved", parse(t, "0-1,8-9"))
	must.NoError(t, err)
	must.SliceEmpty(t, displaced)
	must.Eq(t, 4, lease.CPUs.Len())
	must.Eq(t, 4, a.Available())
	must.SliceEmpty(t, a.SetUnavailable(parse(t, "0-1,8-9"))) // the same reservation, told twice
	_, ok := a.Release("reserved")
	must.True(t, ok)
}

func TestMove_shortageKeepsTheRest(t *testing.T) {
	topo := xeon()
	a := New(topo, topo.Online, Options{})
	allocate(t, a, "job", 8)
	displaced := a.SetUnavailable(parse(t, "0-1"))
	must.Len(t, 1, displaced)
	_, rest, err := a.Move("job")
	must.EqError(t, err, "8 cores asked, 6 free")
	must.Eq(t, "2-7", rest.CPUs.String())
	must.True(t, rest.Displaced)
	a.SetUnavailable(cpuset.Set{})
	old, moved, err := a.Move("job")
	must.NoError(t, err)
	must.Eq(t, "0-7", old.CPUs.String())
	must.Eq(t, "0-7", moved.CPUs.String())
	_, _, err = a.Move("nobody")
	must.ErrorIs(t, err, ErrNoLease)
}

// How much of its former place an owner gets back.
const (
	same   = "same"
	partly = "partly"
	other  = "other"
)

// restore claims the wanted CPUs and makes good for those that cannot be had, as the
// driver does with a run that lives. An owner that gets too few gives up what it has.
func restore(a *Allocator, owner string, wanted cpuset.Set, specific bool) (lease Lease, how string, err error) {
	lease, err = a.Claim(owner, wanted, specific)
	if err != nil || !lease.Displaced {
		return lease, same, err
	}
	how = partly
	if lease.CPUs.IsEmpty() {
		how = other
	}
	if _, lease, err = a.Move(owner); err != nil {
		a.Release(owner)
	}
	return lease, how, err
}

func TestRestore(t *testing.T) {
	for _, tc := range []struct {
		name, others, wanted string
		specific             bool
		how                  string
		cpus, held           string
		err                  string
	}{
		{name: "the same cores", others: "4", wanted: "0-2", how: same, cpus: "0-2", held: "0-2,8-10"},
		{name: "a sibling is taken: its core is lost", others: "9", wanted: "0-1", how: partly, cpus: "0,2", held: "0,2,8,10"},
		{name: "filled up nearest first", others: "1", wanted: "0-1", how: partly, cpus: "0,2", held: "0,2,8,10"},
		{name: "from another package where the near cores are gone", others: "1-3", wanted: "0-1", how: partly, cpus: "0,4", held: "0,4,8,12"},
		{name: "elsewhere", others: "0-1", wanted: "0-1", how: other, cpus: "2-3", held: "2-3,10-11"},
		{name: "too few left", others: "0-5", wanted: "0-3", err: "4 cores asked, 2 free"},
		{name: "a CPU that is gone", wanted: "7,20", how: partly, cpus: "4,7", held: "4,7,12,15"},
		{name: "both threads, as in share mode", wanted: "0,8", how: same, cpus: "0,8", held: "0,8"},
		{name: "a reservation, without its siblings", others: "9", wanted: "0-1", specific: true, how: same, cpus: "0-1", held: "0-1"},
		{name: "a reservation that is taken", others: "0-1", wanted: "0-1", specific: true, how: other, cpus: "2-3", held: "2-3,10-11"},
		{name: "a reservation of which a part is taken", others: "1", wanted: "0-1", specific: true, how: partly, cpus: "0,2", held: "0,2,10"},
		{name: "nothing wanted", wanted: "", err: ErrNoCores.Error()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			topo := xeon()
			a := New(topo, topo.Online, Options{})
			if tc.others != "" {
				_, _, err := a.Reserve("others", parse(t, tc.others))
				must.NoError(t, err)
			}
			lease, how, err := restore(a, "job", parse(t, tc.wanted), tc.specific)
			if tc.err != "" {
				must.EqError(t, err, tc.err)
				_, ok := a.Lease("job")
				must.False(t, ok)
				return
			}
			must.NoError(t, err)
			must.Eq(t, tc.how, how)
			must.Eq(t, tc.cpus, lease.CPUs.String())
			must.Eq(t, tc.held, lease.Held.String())
			_, err = a.Claim("job", lease.CPUs, false)
			must.ErrorIs(t, err, ErrAlreadyLeased)
		})
	}
}

// Nobody that claims gets what another one had, in whatever order they come, and
// whatever the first of them has lost.
func TestClaim_beforeAnybodyIsMoved(t *testing.T) {
	topo := xeon()
	for _, order := range [][]string{{"stays", "goes"}, {"goes", "stays"}} {
		a := New(topo, parse(t, "0-1"), Options{})
		had := map[string]string{"stays": "0", "goes": "1-2"}
		for _, owner := range order {
			lease, err := a.Claim(owner, parse(t, had[owner]), false)
			must.NoError(t, err)
			must.Eq(t, owner == "goes", lease.Displaced)
		}
		old, rest, err := a.Move("goes")
		must.EqError(t, err, "2 cores asked, 1 free")
		must.Eq(t, "1-2", old.CPUs.String())
		must.Eq(t, "1", rest.CPUs.String())
		lease, _ := a.Lease("stays")
		must.Eq(t, "0", lease.CPUs.String())
		must.False(t, lease.Displaced)
	}
}

func TestNearest_goesByTheDistanceOfTheNodes(t *testing.T) {
	topo := topologytest.Of(4, 1, 1, 2, 1).Topology() // cores 0-1, 2-3, 4-5, 6-7
	for i := range topo.Nodes {
		topo.Nodes[i].Distances = [][]int{{10, 40, 20, 30}, {40, 10, 20, 30}, {20, 20, 10, 30}, {30, 30, 30, 10}}[i]
	}
	a := New(topo, topo.Online, Options{})
	allocate(t, a, "other", 1)
	lease, how, err := restore(a, "job", parse(t, "0-1"), false)
	must.NoError(t, err)
	must.Eq(t, partly, how)
	must.Eq(t, "1,4", lease.CPUs.String()) // package 2 is nearer than 1 and 3
}

func TestSetManaged_aCPUGoesOffline(t *testing.T) {
	for _, tc := range []struct {
		name, offline string
		displaced     bool
		cpus, held    string // after Move
	}{
		{"one the job is not on", "7", false, "0-1", "0-1,8-9"},
		{"an idle sibling", "8", false, "0-1", "0-1,9"},
		{"a bound CPU: its sibling takes over", "1", true, "0,9", "0,8-9"},
		{"a whole core", "1,9", true, "0,2", "0,2,8,10"},
		{"all of the job", "0-1,8-9", true, "2-3", "2-3,10-11"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			topo := xeon()
			a := New(topo, topo.Online, Options{})
			before := allocate(t, a, "job", 2)
			left := topologytest.Only(topo, topo.Online.Difference(parse(t, tc.offline)))
			displaced := a.SetManaged(left, topo.Online)
			must.Eq(t, tc.displaced, len(displaced) == 1)
			if tc.displaced {
				must.Eq(t, before.CPUs, displaced[0].CPUs)
			}
			old, moved, err := a.Move("job")
			must.NoError(t, err)
			if tc.displaced {
				must.Eq(t, before.CPUs, old.CPUs)
			}
			must.Eq(t, tc.cpus, moved.CPUs.String())
			must.Eq(t, tc.held, moved.Held.String())

			must.SliceEmpty(t, a.SetManaged(topo, topo.Online)) // all are back
			back, _ := a.Lease("job")
			must.Eq(t, moved.CPUs, back.CPUs)
			must.True(t, topo.CoresOf(back.CPUs) == back.Held)
			_, ok := a.Release("job")
			must.True(t, ok)
			must.Eq(t, 8, a.Available())
		})
	}
}
