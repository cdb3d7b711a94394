// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// bindFromOutside puts every thread of the solver on some CPUs, as taskset -a does.
func (r *run) bindFromOutside(cpus ...int) {
	r.t.Helper()
	var mask unix.CPUSet
	for _, cpu := range cpus {
		mask.Set(cpu)
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", r.pid))
	must.NoError(r.t, err)
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		must.NoError(r.t, err)
		_ = unix.SchedSetaffinity(tid, &mask) // it may have ended
	}
}

// All threads on some of the task's own cores only is what nobody wants who gave
// the task these cores.
func TestDrift_NarrowedWithinTheLease(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t, func(c *Config) { c.Cores.Usable = "0-1" })
	r := n.start(slowJob("ncpu = 2"))
	r.runsOn("0-1")
	r.says("STANDIN-AFFINITY rank=0") // its threads are there
	eventually(t, "narrowed, twice looked at and told", func() bool {
		if strings.Contains(strings.Join(n.said(r.id), "\n"), "Affinity was narrowed from outside to cores 1; bound to cores 0-1 again") {
			return true
		}
		if !slices.Equal(r.threads(), []string{"1"}) {
			r.bindFromOutside(1) // threads that were started in between escaped
		}
		return false
	})
	eventually(t, "it has both cores again", func() bool { return slices.Equal(r.threads(), []string{"0-1"}) })
}

// A rank or an OpenMP thread binds itself more tightly than its task.
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
		"all on one":                       {[]supervisor.Thread{thread(2), thread(2), thread(2), thread(2)}, 4, "narrowed from outside to cores 2; bound to cores 0-3 again"},
		"all on half":                      {[]supervisor.Thread{thread(0, 1), thread(0, 1), thread(0), thread(1)}, 4, "narrowed from outside to cores 0-1"},
		"one elsewhere":                    {[]supervisor.Thread{thread(0, 1, 2, 3), thread(7)}, 4, "changed from outside to cores 7; bound to cores 0-3 again"},
		"nothing known of what it asks":    {[]supervisor.Thread{thread(2), thread(2)}, 0, ""},
		"a lease smaller than what it had": {[]supervisor.Thread{thread(0, 1, 2, 3)}, 8, ""},
	} {
		t.Run(name, func(t *testing.T) {
			k := &task{}
			k.details.CoresAsked = c.asked
			first := k.strayed(c.threads, lease)
			must.False(t, strings.Contains(first, "narrowed"), must.Sprint("an OpenMP runtime may be starting"))
			second := k.strayed(c.threads, lease)
			must.Eq(t, c.want == "", second == "", must.Sprint(second))
			must.StrContains(t, second, c.want)
		})
	}
}

func TestDrift_TheTasksOwnCpuset(t *testing.T) {
	needCPUs(t, 2)
	n := newLoneNode(t)
	j := slowJob("")
	j.cores, j.cgroup = "0-1", true
	r := n.start(j)
	r.runsOn("0-1")
	leaf := filepath.Join(r.task().spec.Cgroups.LeafCpuset, "cpuset.cpus")
	must.NoError(t, os.WriteFile(leaf, []byte("1\n"), 0o644))
	n.hears(r.id, "The task's cpuset was changed from outside to 1; set to cores 0-1 again")
	is, err := os.ReadFile(leaf)
	must.NoError(t, err)
	must.Eq(t, "0-1", strings.TrimSpace(string(is)))
	r.runsOn("0-1")
}

// The share cpuset is Nomad's: what is wrong there is told, and put right as soon
// as it is.
func TestDrift_TheShareCpuset(t *testing.T) {
	needCPUs(t, 2)
	n := newLoneNode(t)
	j := slowJob("ncpu = 1")
	j.cgroup = true
	r := n.start(j)
	r.runsOn("0")
	online := n.cores.topology().Online
	must.NoError(t, setPartition("share", online.Difference(cpuset.Of(0)).String()))
	defer func() { must.NoError(t, setPartition("share", online.String())) }()
	n.hears(r.id, "Cores 0 are withheld from the task, which has 0, by the cpuset of cgroup ")
	must.NoError(t, setPartition("share", online.String()))
	eventually(t, "the solver is back", func() bool { return slices.Equal(r.threads(), []string{"0"}) })
	r.runsOn("0")
}

// Somebody who goes on undoing the repairs is told of a few times, and then ever
// more rarely.
func TestDrift_EventsAreDamped(t *testing.T) {
	var d damper
	now := time.Unix(1_000_000, 0)
	var told []time.Duration
	missed := 0
	const day = 24 * time.Hour
	for at := time.Duration(0); at < day; at += coresInterval {
		if m, ok := d.pass(now.Add(at)); ok {
			told = append(told, at)
			missed += m
		}
	}
	must.Eq(t, []time.Duration{0, 2 * time.Second, 4 * time.Second, 64 * time.Second, 184 * time.Second}, told[:5])
	must.Between(t, 24, len(told), 40)
	must.Between(t, int(day/coresInterval)-2000, missed+len(told), int(day/coresInterval))

	// After some peace it counts as new.
	_, ok := d.pass(now.Add(day))
	must.False(t, ok)
	for i := range damperBurst {
		m, ok := d.pass(now.Add(day + damperMost + damperPeace + time.Minute + time.Duration(i)))
		must.True(t, ok)
		must.Zero(t, m)
	}
}

func TestDrift_ManyEventsOfOneTask(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	k := r.task()
	k.placing.Lock()
	for range 1000 {
		k.sayDrift("Somebody fights us")
	}
	k.placing.Unlock()
	k.say("That was it")
	n.hears(r.id, "That was it")
	fights := 0
	for _, words := range n.said(r.id) {
		if words == "Somebody fights us" {
			fights++
		}
	}
	must.Eq(t, damperBurst, fights)
}

// A cgroup without a cpuset controller (v2, not handed down) is nothing to repair.
func TestDrift_WithoutACpusetController(t *testing.T) {
	root := tree(t, "nomad.slice/share.slice/a.scope/cgroup.procs=\n")
	leaf := filepath.Join(root, "nomad.slice/share.slice/a.scope")
	k := &task{spec: &supervisor.Spec{Cgroups: supervisor.Cgroups{Mode: supervisor.CgroupV2, Join: []string{leaf}, LeafCpuset: leaf}}}
	_, ok := k.leafCPUs()
	must.False(t, ok)
	must.True(t, k.withheld(cpuset.Of(0)).IsEmpty())
	_, ok = (&task{}).leafCPUs()
	must.False(t, ok)
}
