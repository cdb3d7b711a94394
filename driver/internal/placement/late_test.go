// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// waiting is a live run that got no cores and began some hours ago.
func (n *node) waiting(asked, hours int) *run {
	n.t.Helper()
	r := n.runOf(Run{Asked: asked, Began: time.Now().Add(-time.Duration(hours) * time.Hour)})
	r.launch()
	r.binder.Attach(r.proc, r.pidFile())
	must.SliceEmpty(n.t, r.pidFile().Cores)
	return r
}

const bound = "Bound to core 0: it has become free"

func TestLate_OldestFirst(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t, func(s *Settings) { s.Usable = cpuset.Of(0) })
	first := n.start(1)
	young, old := n.waiting(1, 1), n.waiting(1, 2)
	n.Reevaluate()
	must.SliceEmpty(t, old.binder.CPUs())
	first.binder.Release()
	n.Reevaluate()
	old.runsOn("0")
	must.Eq(t, []string{bound}, old.said())
	young.isConfinedTo(n.online())
	old.binder.Release()
	n.Reevaluate()
	young.runsOn("0")
	must.Eq(t, []string{bound}, young.said())
	n.Reevaluate()
	must.Len(t, 1, young.said())
}

// One that asks for more than is free holds up none that asks for fewer.
func TestLate_WhoeverFits(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	first := n.start(1)
	big, small := n.waiting(2, 2), n.waiting(1, 1)
	n.Reevaluate()
	small.runsOn("1")
	big.isConfinedTo(n.online())
	first.binder.Release()
	n.Reevaluate()
	big.isConfinedTo("0")
	small.binder.Release()
	n.Reevaluate()
	big.runsOn("0-1")
}

// Cores that another has a claim to are not free.
func TestLate_NothingThatIsAnothers(t *testing.T) {
	needCPUs(t, 2)
	for name, claim := range map[string]func(*node) (end func()){
		"a start on its way": func(n *node) func() { return n.Expect(1) },
		"a start that was launched and lost its core": func(n *node) func() {
			starting := n.run(1)
			_, err := starting.binder.Lease(cpuset.Set{})
			must.NoError(n.t, err)
			n.alloc.SetUnavailable(cpuset.Of(0))
			n.alloc.SetUnavailable(cpuset.Set{})
			lease, _ := starting.lease()
			must.True(n.t, lease.Displaced)
			return starting.binder.Release
		},
		"a task of another driver": func(n *node) func() {
			n.reserve("0")
			return func() { n.reserve("") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, func(s *Settings) { s.Usable = cpuset.Of(0) })
			end := claim(n)
			r := n.waiting(1, 1)
			n.Reevaluate()
			must.SliceEmpty(t, r.said())
			_, leased := r.lease()
			must.False(t, leased)
			end()
			n.Reevaluate()
			r.runsOn("0")
		})
	}
}

// A start that waits for its lease has cores left as often as it is expected.
func TestLate_ExpectedOnce(t *testing.T) {
	n := newNode(t)
	first, second := n.Expect(2), n.Expect(3)
	must.Eq(t, 5, n.expected)
	first()
	first()
	must.Eq(t, 3, n.expected)
	second()
	must.Zero(t, n.expected)
}

// What is not told, or cannot be bound, waits.
func TestLate_NotYet(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	unknown := n.waiting(0, 1)
	unsettled := n.runOf(Run{Asked: 1})
	unsettled.launch()
	unsettled.binder.Adopt(unsettled.open(), unsettled.pidFile(), false)
	gone := n.waiting(1, 1)
	gone.binder.notBefore = time.Now().Add(time.Hour)
	n.Reevaluate()
	must.SliceEmpty(t, n.Leases())
	unsettled.binder.AttachByPIDFile(unsettled.pidFile())
	gone.binder.notBefore = time.Time{}
	n.Reevaluate()
	must.Len(t, 2, n.Leases())
	must.SliceEmpty(t, unknown.binder.CPUs())
}

// A run whose processes cannot be bound gives the cores back, and is tried again
// after a while only.
func TestLate_WhatCannotBeBound(t *testing.T) {
	n := newNode(t, func(s *Settings) { s.Usable = cpuset.Of(0) })
	r := n.waiting(1, 1)
	pid := filepath.Join(r.dir, "pid")
	must.NoError(t, os.Rename(pid, pid+".away"))
	t.Cleanup(func() { must.NoError(t, os.Rename(pid+".away", pid)) })
	n.Reevaluate()
	must.SliceEmpty(t, n.Leases())
	must.SliceEmpty(t, r.said())
	must.True(t, r.binder.notBefore.After(time.Now()))
	n.Reevaluate()
	must.SliceEmpty(t, n.Leases())
}
