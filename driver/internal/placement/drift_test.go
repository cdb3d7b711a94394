// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

func TestDrift_AffinityIsRepairedAndReported(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	r := n.start(1)
	n.Reevaluate()
	must.SliceEmpty(t, r.said())
	r.bindFromOutside(1)
	n.Reevaluate()
	r.runsOn("0")
	must.Eq(t, []string{"Affinity was changed from outside to core 1; bound to core 0 again"}, r.said())
	n.Reevaluate()
	must.Len(t, 1, r.said())
}

// All threads on some of the run's own cores only is what nobody wants who gave it
// these cores.
func TestDrift_NarrowedWithinTheLease(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	r := n.run(2)
	_, err := r.binder.Lease(cpuset.Set{})
	must.NoError(t, err)
	r.startingThreads()
	r.launch()
	r.binder.Attach(r.proc, r.pidFile())
	eventually(t, "all threads are on one core at two looks", func() bool {
		r.bindFromOutside(1) // threads that are born meanwhile escape
		n.Reevaluate()
		return len(r.said()) > 0
	})
	must.Eq(t, "Affinity was narrowed from outside to core 1; bound to cores 0-1 again", r.said()[0])
	r.runsOn("0-1")
}

// What was born while the run was moved, and is seen only then, was not changed by anybody:
// it is brought to the others without a word. Later, or elsewhere, it is somebody's doing.
func TestDrift_BornDuringAMove(t *testing.T) {
	thread := func(cpus ...int) supervisor.Thread { return supervisor.Thread{CPUs: cpuset.Of(cpus...)} }
	var d driftWatch
	look := func(newborn bool, threads ...supervisor.Thread) {
		t.Helper()
		words := d.strayed(threads, cpuset.Of(2, 3), 2)
		must.StrContains(t, words, "bound to cores 2-3 again")
		must.Eq(t, newborn, d.newborn)
	}
	look(false, thread(2), thread(0)) // never moved
	d.moved(cpuset.Of(0, 1))
	look(true, thread(2), thread(0))
	look(true, thread(0, 1), thread(0, 1, 2, 3)) // the kernel widened it for a moment
	look(false, thread(1), thread(7))
	look(false, thread(0)) // long after

	d.moved(confinement{applied: true}.cpus())
	look(true, thread(900))
	d.moved(confinement{applied: true, to: cpuset.Of(4)}.cpus())
	look(true, thread(4))
	d.moved(confinement{}.cpus())
	look(false, thread(4))
}

// A rank or an OpenMP thread binds itself more tightly than its run.
func TestDrift_TighterThreadsAreLeftAlone(t *testing.T) {
	thread := func(cpus ...int) supervisor.Thread { return supervisor.Thread{CPUs: cpuset.Of(cpus...)} }
	lease := cpuset.Range(0, 3)
	for name, c := range map[string]struct {
		threads []supervisor.Thread
		asked   int
		want    string // at the second look
	}{
		"each on its own core":             {[]supervisor.Thread{thread(0), thread(1), thread(2), thread(3)}, 4, ""},
		"ranks under a launcher":           {[]supervisor.Thread{thread(0, 1, 2, 3), thread(0), thread(0)}, 4, ""},
		"fewer threads than cores":         {[]supervisor.Thread{thread(0)}, 4, ""},
		"its threads are not there yet":    {[]supervisor.Thread{thread(0), thread(0), thread(0)}, 4, ""},
		"fewer cores asked than reserved":  {[]supervisor.Thread{thread(0), thread(0), thread(0), thread(0)}, 1, ""},
		"one thread more than its cores":   {[]supervisor.Thread{thread(0), thread(1), thread(2), thread(2)}, 4, ""},
		"all on one":                       {[]supervisor.Thread{thread(2), thread(2), thread(2), thread(2)}, 4, "narrowed from outside to core 2; bound to cores 0-3 again"},
		"all on half":                      {[]supervisor.Thread{thread(0, 1), thread(0, 1), thread(0), thread(1)}, 4, "narrowed from outside to cores 0-1"},
		"one elsewhere":                    {[]supervisor.Thread{thread(0, 1, 2, 3), thread(7)}, 4, "changed from outside to core 7; bound to cores 0-3 again"},
		"nothing known of what it asks":    {[]supervisor.Thread{thread(2), thread(2)}, 0, ""},
		"a lease smaller than what it had": {[]supervisor.Thread{thread(0, 1, 2, 3)}, 8, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var d driftWatch
			first := d.strayed(c.threads, lease, c.asked)
			must.False(t, strings.Contains(first, "narrowed"), must.Sprint("an OpenMP runtime may be starting"))
			second := d.strayed(c.threads, lease, c.asked)
			must.Eq(t, c.want == "", second == "", must.Sprint(second))
			must.StrContains(t, second, c.want)
		})
	}
}

// The share cpuset is Nomad's, which narrows it a moment before the driver learns
// why: what is missing there is reported when it is still missing at the second look.
func TestDrift_WithheldByTheShareCpuset(t *testing.T) {
	needCPUs(t, 2)
	const says = "Core 1 is withheld from the task, which has 0-1, by the cpuset of cgroup "
	for name, c := range map[string]struct {
		looks []string // what the share cpuset has at each
		says  int
	}{
		"never":                     {[]string{"0-1", "0-3", ""}, 0},
		"at one look":               {[]string{"0"}, 0},
		"at one look, then not":     {[]string{"0", "0-1"}, 0},
		"now and then":              {[]string{"0", "0-1", "0", "0-1"}, 0},
		"others at each look":       {[]string{"0", "1", "0", "1"}, 0},
		"at two looks":              {[]string{"0", "0"}, 1},
		"at two looks, and at more": {[]string{"0-1", "0", "0", "0", "0", "0", "0"}, limiterBurst},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := n.start(2)
			share := filepath.Join(tree(t, "share/cpuset.cpus="), "share")
			// Its processes stay where they are: this is about what is read.
			r.binder.spec.Cgroups = supervisor.Cgroups{Mode: supervisor.CgroupV1, Join: []string{"/", share}}
			for _, cpus := range c.looks {
				must.NoError(t, os.WriteFile(filepath.Join(share, "cpuset.cpus"), []byte(cpus+"\n"), 0o644))
				n.Reevaluate()
			}
			must.Len(t, c.says, r.said())
			for _, words := range r.said() {
				must.Eq(t, says+share+": widen it there, it is Nomad's", words)
			}
			r.runsOn("0-1")
		})
	}
}

// Somebody who goes on undoing the repairs is told of a few times, and then ever
// more rarely.
func TestDrift_EventsAreLimited(t *testing.T) {
	var l rateLimiter
	now := time.Unix(1_000_000, 0)
	var told []time.Duration
	missed := 0
	const day = 24 * time.Hour
	for at := time.Duration(0); at < day; at += Interval {
		if m, ok := l.allow(now.Add(at)); ok {
			told = append(told, at)
			missed += m
		}
	}
	must.Eq(t, []time.Duration{0, 2 * time.Second, 4 * time.Second, 64 * time.Second, 184 * time.Second}, told[:5])
	must.Between(t, 24, len(told), 40)
	must.Between(t, int(day/Interval)-2000, missed+len(told), int(day/Interval))

	// After a while without any it counts as new.
	_, ok := l.allow(now.Add(day))
	must.False(t, ok)
	for i := range limiterBurst {
		m, ok := l.allow(now.Add(day + limiterMost + limiterQuiet + time.Minute + time.Duration(i)))
		must.True(t, ok)
		must.Zero(t, m)
	}
}

func TestDrift_ManyEventsOfOneRun(t *testing.T) {
	n := newNode(t)
	r := n.start(1)
	for range 100 {
		r.binder.mu.Lock()
		r.binder.reportDrift("Somebody fights us, 100 %")
		r.binder.unlock()
	}
	must.Len(t, limiterBurst, r.said())
	must.Eq(t, "Somebody fights us, 100 %", r.said()[0])
	must.Eq(t, 100-limiterBurst, r.binder.drift.limiter.missed)
}

// A repair that fails is reported with its reason.
func TestDrift_ThatCannotBeRepaired(t *testing.T) {
	n := newNode(t, func(s *Settings) {
		s.Sysfs = tree(t, "devices/system/cpu/online=0,2000\n", "devices/system/cpu/cpu0", "devices/system/cpu/cpu2000")
	})
	r := n.run(1)
	r.launch()
	_, err := r.binder.Lease(cpuset.Of(2000)) // the kernel knows none of that number
	must.NoError(t, err)
	r.binder.Attach(r.proc, r.pidFile())
	n.Reevaluate()
	must.Len(t, 1, r.said())
	must.StrContains(t, r.said()[0], "bound to core 2000 again; it could not be put right: ")
	must.SliceEmpty(t, r.pidFile().Cores)
}

// A cgroup without a cpuset controller (v2, not handed down) is nothing to repair.
func TestDrift_WithoutACpusetController(t *testing.T) {
	leaf := filepath.Join(tree(t, "nomad.slice/share.slice/a.scope/cgroup.procs=\n"), "nomad.slice/share.slice/a.scope")
	groups := &supervisor.Cgroups{Mode: supervisor.CgroupV2, Join: []string{leaf}, LeafCpuset: leaf}
	_, ok := readLeaf(groups, "cpuset.cpus")
	must.False(t, ok)
	must.True(t, allowedCPUs(groups).IsEmpty())
	_, ok = readLeaf(&supervisor.Cgroups{}, "cpuset.cpus")
	must.False(t, ok)
}

// A run that is over or about to be launched has no threads that could stray.
func TestDrift_OfARunThatIsOver(t *testing.T) {
	n := newNode(t)
	early := n.run(1)
	_, err := early.binder.Lease(cpuset.Set{})
	must.NoError(t, err)
	over := n.start(1)
	end(t, over.proc)
	n.Reevaluate()
	must.SliceEmpty(t, early.said())
	must.SliceEmpty(t, over.said())
}
