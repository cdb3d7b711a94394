// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"os"
	"sync"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// meanwhile repeats something until the test has done what it does meanwhile.
func meanwhile(t *testing.T, repeat func(round int)) (stop func()) {
	t.Helper()
	over := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for round := 0; ; round++ {
			select {
			case <-over:
				return
			default:
				repeat(round)
			}
		}
	})
	return func() {
		close(over)
		running.Wait()
	}
}

// Whatever comes late of a run that is over neither leases cores nor moves what has
// its process id next.
func TestRace_ReleaseWithAllThatBinds(t *testing.T) {
	needCPUs(t, 2)
	for name, late := range map[string]func(*Binder, *run){
		"reevaluation":             func(b *Binder, _ *run) { b.cores.Reevaluate() },
		"attached by pid file":     func(b *Binder, r *run) { b.AttachByPIDFile(with(r.pidFile(), 0)) },
		"attached by driver state": func(b *Binder, r *run) { b.AttachByDriverState(r.proc, with(r.pidFile(), 0)) },
		"amended":                  func(b *Binder, _ *run) { b.Amend(1, true, "") },
		"attached":                 func(b *Binder, r *run) { b.Attach(r.proc, with(r.pidFile(), 0)) },
		"displaced": func(b *Binder, _ *run) {
			b.cores.alloc.SetUnavailable(cpuset.Of(0))
			b.cores.moveDisplaced()
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := adopted(t, n, Run{Asked: 1})
			r.binder.Release()
			for round := range rounds(20) {
				b := n.NewBinder(r.binder.run)
				b.Adopt(r.proc, with(r.pidFile(), 0), true)
				var both sync.WaitGroup
				both.Go(func() { late(b, r) })
				both.Go(b.Release)
				both.Wait()
				must.SliceEmpty(t, n.Leases(), must.Sprintf("round %d", round))
				must.MapEmpty(t, n.binders)
				r.bindFromOutside(0, 1)
				late(b, r)
				n.Reevaluate()
				must.Eq(t, "0-1", r.threads())
				must.SliceEmpty(t, n.Leases())
				must.NoError(t, r.proc.Bind(cpuset.Of(0)))
			}
		})
	}
}

// Runs come and go while cores are reserved, go offline, and threads are bound by
// somebody else. When that is over, every run is where its lease says, or, without
// one, where nobody else is.
func TestRace_AllAtOnce(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t, func(s *Settings) { s.Sysfs = sysfs(t, 2, 1, "0-1") })
	var runs []*run
	for range 4 {
		runs = append(runs, n.start(1))
	}
	reserved := []string{"", "0", "1", "0-1"}
	online := []string{"0-1", "0", "0-1", "1"}
	stops := []func(){
		meanwhile(t, func(int) { n.Reevaluate() }),
		meanwhile(t, func(int) { checkDisjoint(t, n) }),
		meanwhile(t, func(round int) { n.reserve(reserved[round/3%len(reserved)]) }),
		meanwhile(t, func(round int) { n.setOnline(online[round/7%len(online)]) }),
		meanwhile(t, func(round int) { runs[0].bindFromOutside(round % 2) }),
		meanwhile(t, func(int) { _, _ = runs[0].binder.CPUs(), runs[0].binder.Describe() }),
	}
	var workers sync.WaitGroup
	for i, r := range runs[1:] {
		workers.Go(func() { r.comeAndGo(n, 25, i == 0) })
	}
	workers.Wait()
	for _, stop := range stops {
		stop()
	}
	runs[0].bindFromOutside(0, 1) // without a lease it may stay where somebody has bound it more tightly
	n.reserve("")
	n.setOnline("0-1")
	n.Reevaluate()
	checkDisjoint(t, n)
	for _, r := range runs {
		if lease, leased := r.lease(); leased {
			r.runsOn(lease.CPUs.String())
		} else {
			where := n.unleased()
			if where.IsEmpty() {
				where = n.Topology().Online
			}
			r.isConfinedTo(where.String())
		}
	}
}

// setOnline says which CPUs are online, from now on.
func (n *node) setOnline(cpus string) {
	path := n.settings.sysfs("devices/system/cpu/online")
	must.NoError(n.t, os.WriteFile(path+".new", []byte(cpus+"\n"), 0o644))
	must.NoError(n.t, os.Rename(path+".new", path))
}

// checkDisjoint demands that no core has two owners.
func checkDisjoint(t *testing.T, n *node) {
	var held cpuset.Set
	for _, lease := range n.Leases() {
		if held.Overlaps(lease.Held) {
			t.Errorf("cores %s have two owners", held.Intersect(lease.Held))
		}
		held = held.Union(lease.Held)
	}
}

// comeAndGo has one process placed by one plugin after the other.
func (r *run) comeAndGo(n *node, times int, byState bool) {
	for range times {
		r.binder.Release()
		r.binder = n.NewBinder(r.binder.run)
		rec, err := r.proc.Record()
		must.NoError(r.t, err)
		r.binder.Adopt(r.proc, rec, !byState)
		if byState {
			r.binder.AttachByDriverState(r.proc, with(rec, 0))
		} else {
			r.binder.AttachByPIDFile(rec)
		}
	}
}
