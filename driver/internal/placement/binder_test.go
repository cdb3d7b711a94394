// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"errors"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

func TestBinder_Start(t *testing.T) {
	needCPUs(t, 2)
	for name, c := range map[string]struct {
		asked    int
		reserved string
		cpus     string
		says     string
	}{
		"one core":               {1, "", "0", "Allocated core 0 (1 core"},
		"two cores":              {2, "", "0-1", "Allocated cores 0-1 (2 cores"},
		"reserved":               {1, "1", "1", "Allocated core 1 (1 core"},
		"more reserved than ask": {1, "0-1", "0-1", "Allocated cores 0-1 (2 cores"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.reserve(c.reserved)
			r := n.run(c.asked)
			lease, err := r.binder.Lease(parse(t, c.reserved))
			must.NoError(t, err)
			must.Eq(t, c.cpus, lease.CPUs.String())
			must.Eq(t, c.reserved != "", lease.Reserved)
			must.StrContains(t, r.binder.Describe(), c.says)
			must.Eq(t, lease.CPUs.Slice(), r.binder.LaunchPlacement().CPUs)
			r.launch()
			must.Eq(t, lease.CPUs.Slice(), r.spec.CPUs)
			r.binder.Attach(r.proc, r.pidFile())
			r.runsOn(c.cpus)
			r.binder.Release()
			must.SliceEmpty(t, n.Leases())
			must.MapEmpty(t, n.binders)
			must.Eq(t, c.cpus, cpuset.Of(r.binder.CPUs()...).String(), must.Sprint("a run that is over tells where it ran"))
		})
	}
}

func parse(t *testing.T, list string) cpuset.Set {
	t.Helper()
	set, err := cpuset.Parse(list)
	must.NoError(t, err)
	return set
}

func TestBinder_LeaseThatCannotBeHad(t *testing.T) {
	n := newNode(t)
	_, err := n.run(3).binder.Lease(cpuset.Set{})
	var short *allocator.ShortageError
	must.True(t, errors.As(err, &short))
	must.Eq(t, 3, short.Asked)

	n.reserve("0")
	_, err = n.run(1).binder.Lease(cpuset.Of(0))
	must.NoError(t, err)
	_, err = n.run(1).binder.Lease(cpuset.Of(0))
	var taken *allocator.ConflictError
	must.True(t, errors.As(err, &taken))
	must.Eq(t, "0", taken.Asked.String())
	must.Len(t, 1, n.Leases())
}

func TestBinder_ReleasedForGood(t *testing.T) {
	n := newNode(t)
	first := n.start(1)
	first.runsOn("0")
	first.binder.Release()
	second := n.start(1)
	second.runsOn("0")
	first.binder.Release() // gives nothing back that is another's
	second.runsOn("0")
	_, err := first.binder.Lease(cpuset.Set{})
	must.ErrorIs(t, err, errReleased)
	first.binder.Attach(first.proc, first.pidFile())
	first.binder.AttachByDriverState(nil, first.pidFile())
	first.binder.Amend(1, true, "")
	first.binder.checkDrift(&supervisor.Look{})
	first.binder.reconcileUnleased()
	must.Eq(t, "0", first.threads(), must.Sprint("nobody binds it any more"))
	must.Len(t, 1, n.Leases())
}

// A reservation takes precedence over what the driver has chosen.
func TestBinder_AReservationMovesWhoIsThere(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	first := n.start(1)
	first.runsOn("0")
	n.reserve("0")
	second := n.run(1)
	_, err := second.binder.Lease(cpuset.Of(0))
	must.NoError(t, err)
	first.runsOn("1") // before the second is launched
	must.Eq(t, []string{"Moved from core 0 to core 1: reserved by Nomad for another task"}, first.said())
}

func TestBinder_AReservationLeavesNoCore(t *testing.T) {
	n := newNode(t, func(s *Settings) { s.Usable = cpuset.Of(0) })
	r := n.start(1)
	r.runsOn("0")
	n.reserve("0")
	n.Reevaluate()
	r.isConfinedTo(n.online())
	must.Eq(t, []string{"Running without affinity: lost core 0 (reserved by Nomad for another task), and 1 core asked, 0 free"}, r.said())
}

// Nobody can move a run before it is launched: Attach makes good for it.
func TestBinder_DisplacedBetweenLeaseAndAttach(t *testing.T) {
	needCPUs(t, 2)
	for name, c := range map[string]struct {
		usable, reserved string
		check            func(*run)
		says             string
	}{
		"others are free": {
			"0-1", "0", func(r *run) { r.runsOn("1") },
			"Moved from core 0 to core 1: reserved by Nomad for another task",
		},
		"none is free": {
			"0", "0", func(r *run) { r.isConfinedTo(r.binder.cores.Topology().Online.String()) },
			"Running without affinity: lost core 0 (reserved by Nomad for another task), and 1 core asked, 0 free",
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, func(s *Settings) { s.Usable = parse(t, c.usable) })
			r := n.run(1)
			_, err := r.binder.Lease(cpuset.Set{})
			must.NoError(t, err)
			n.reserve(c.reserved)
			n.Reevaluate()
			must.SliceEmpty(t, r.said())
			must.Eq(t, []int{0}, r.binder.LaunchPlacement().CPUs, must.Sprint("one launch has one place"))
			r.launch()
			must.Eq(t, "0", r.threads())
			n.Reevaluate()
			must.Eq(t, "0", r.threads())
			r.binder.Attach(r.proc, r.pidFile())
			c.check(r)
			must.Eq(t, []string{c.says}, r.said())
		})
	}
}

// CPUs is for callers that answer Nomad.
func TestBinder_CPUsWaitForNoMove(t *testing.T) {
	n := newNode(t)
	r := n.start(1)
	r.binder.mu.Lock() // as a move does
	defer r.binder.mu.Unlock()
	must.Eq(t, []int{0}, r.binder.CPUs())
	r.binder.CPUs()[0] = 7
	must.Eq(t, []int{0}, r.binder.CPUs(), must.Sprint("the caller's own"))
}

func TestBinder_PrepareSpec(t *testing.T) {
	leaf := supervisor.Cgroups{Mode: supervisor.CgroupV2, Join: []string{"/x"}, LeafCpuset: "/x"}
	for name, c := range map[string]struct {
		groups supervisor.Cgroups
		lease  bool
		cpus   []int // as the specification has them before
		want   []int
		leaf   string
	}{
		"a lease":                  {supervisor.Cgroups{Mode: supervisor.CgroupNone}, true, nil, []int{0}, ""},
		"a lease and a cpuset":     {leaf, true, nil, []int{0}, "0"},
		"no lease":                 {leaf, false, nil, nil, ""},
		"made from a driver state": {leaf, false, []int{1}, []int{1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newNode(t).run(1)
			if c.lease {
				_, err := r.binder.Lease(cpuset.Set{})
				must.NoError(t, err)
			}
			spec := &supervisor.Spec{Cgroups: c.groups, CPUs: c.cpus}
			must.Eq(t, "", r.binder.PrepareSpec(spec))
			must.Eq(t, c.want, spec.CPUs)
			must.Eq(t, c.leaf, spec.Cgroups.CPUs)
		})
	}
}

func TestBinder_LaunchPlacement(t *testing.T) {
	n := newNode(t)
	must.Eq(t, launch.Placement{}, n.run(1).binder.LaunchPlacement())
}

func TestBinder_TwoOfOneRun(t *testing.T) {
	n := newNode(t)
	first := n.start(1)
	second := n.NewBinder(first.binder.run)
	_, err := second.Lease(cpuset.Set{})
	must.ErrorIs(t, err, allocator.ErrAlreadyLeased)
	first.binder.Release()
	must.Eq(t, second, n.binder(first.dir), must.Sprint("the first takes only itself away"))

	// What comes late of the first does not touch the lease of the second.
	_, err = second.Lease(cpuset.Set{})
	must.NoError(t, err)
	first.bindFromOutside(1)
	first.comesLate(t)
	n.alloc.SetUnavailable(cpuset.Of(0))
	first.comesLate(t)
	must.Eq(t, "1", first.threads())
	must.SliceEmpty(t, first.said())
	second.Release()
	must.MapEmpty(t, n.binders)
}

// comesLate calls all that may come late of a run that is over, and demands that
// the lease of its owner stays as it is.
func (r *run) comesLate(t *testing.T) {
	t.Helper()
	before, _ := r.lease()
	other := with(r.pidFile(), 1)
	for name, late := range map[string]func(){
		"displaced":                func() { r.binder.moveDisplaced() },
		"drift":                    func() { r.binder.checkDrift(&supervisor.Look{}) },
		"unleased":                 r.binder.reconcileUnleased,
		"attached":                 func() { r.binder.attach(r.proc, other) },
		"adopted":                  func() { r.binder.Adopt(r.proc, other, true) },
		"attached by pid file":     func() { r.binder.AttachByPIDFile(other) },
		"attached by driver state": func() { r.binder.AttachByDriverState(r.proc, other) },
		"amended":                  func() { r.binder.Amend(1, true, "") },
		"released":                 r.binder.Release,
	} {
		late()
		after, _ := r.lease()
		must.Eq(t, before, after, must.Sprint(name))
	}
}
