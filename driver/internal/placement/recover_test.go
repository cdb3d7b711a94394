// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"fmt"
	"os"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
)

// adopted is a run on the core 0 that another plugin has launched and that the
// node's plugin is to adopt.
func adopted(t *testing.T, n *node, about Run) *run {
	t.Helper()
	r := n.runOf(about)
	r.spec.CPUs = []int{0}
	r.launch()
	r.proc = r.open()
	return r
}

// with returns a pid file with other cores.
func with(rec pidfile.Record, cores ...int) pidfile.Record {
	rec.Cores = append([]int{}, cores...)
	return rec
}

func TestRecover(t *testing.T) {
	needCPUs(t, 2)
	const (
		moved    = "Moved from core 0 to core 1: taken while the driver was away"
		homeless = "Running without affinity: lost core 0 (taken while the driver was away), and 1 core asked, 0 free"
	)
	byPIDFile := func(r *run) { r.binder.AttachByPIDFile(r.pidFile()) }
	byState := func(cores ...int) func(*run) {
		return func(r *run) { r.binder.AttachByDriverState(r.open(), with(r.pidFile(), cores...)) }
	}
	for name, c := range map[string]struct {
		others   int // cores of others
		reserved bool
		cores    []int // that the pid file tells
		distrust bool  // of the pid file
		attach   func(*run)
		cpus     string // "" for no lease
		says     []string
	}{
		"adopted":                         {0, false, []int{0}, false, nil, "0", nil},
		"by its pid file":                 {0, false, []int{0}, false, byPIDFile, "0", []string{"Restored core 0 from the pid file"}},
		"by its pid file, other cores":    {0, false, []int{1}, false, byPIDFile, "1", []string{"Restored core 1 from the pid file", "Affinity was changed from outside to core 0; bound to core 1 again"}},
		"reserved":                        {0, true, []int{0}, false, byPIDFile, "0", []string{"Restored core 0 from the pid file"}},
		"cores are taken":                 {1, false, []int{0}, false, byPIDFile, "1", []string{moved, "Restored core 1 from the pid file"}},
		"all cores are taken":             {2, false, []int{0}, false, byPIDFile, "", []string{homeless, "Recovered without affinity, as the pid file says"}},
		"without affinity":                {2, false, nil, false, byPIDFile, "", []string{"Recovered without affinity, as the pid file says"}},
		"by the driver state":             {0, false, nil, true, byState(0), "0", []string{"Restored core 0 from the driver state"}},
		"by the driver state, other core": {0, false, nil, true, byState(1), "1", []string{"Restored core 1 from the driver state"}},
		"driver state without cores":      {0, false, nil, true, byState(), "0", []string{"Restored core 0 from the driver state"}},
		"driver state, cores are taken":   {1, false, nil, true, byState(0), "1", []string{moved, moved}},
		"nothing tells but the launch":    {0, false, nil, true, nil, "0", nil},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			for range c.others {
				_, err := n.run(1).binder.Lease(cpuset.Set{})
				must.NoError(t, err)
			}
			r := adopted(t, n, Run{Asked: 1, Reserved: c.reserved})
			rec := with(r.pidFile(), c.cores...)
			must.NoError(t, pidfile.Write(r.dir+"/pid", rec))
			r.binder.Adopt(r.proc, rec, !c.distrust)
			n.Settle()
			if c.attach != nil {
				c.attach(r)
			}
			must.Eq(t, c.says, r.said())
			if c.cpus == "" {
				n.Reevaluate()
				r.isConfinedTo(n.online())
				return
			}
			if c.attach != nil {
				r.runsOn(c.cpus)
			}
			lease, leased := r.lease()
			must.True(t, leased)
			must.Eq(t, c.cpus, lease.CPUs.String())
			must.Eq(t, c.reserved, lease.Reserved)
		})
	}
}

// A trusted pid file without cores counts at once; what an untrusted one means,
// only the handle tells.
func TestRecover_WithoutALeaseUntilNomadHandsItOver(t *testing.T) {
	needCPUs(t, 2)
	for name, c := range map[string]struct {
		trusted bool
		first   string // after a round
	}{
		"the pid file tells": {true, "1"},
		"only Nomad knows":   {false, "0-1"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.start(1).runsOn("0")
			r := n.run(2) // more than there is for it
			r.launch()
			r.proc = r.open()
			rec := r.pidFile()
			must.SliceEmpty(t, rec.Cores)
			r.bindFromOutside(0, 1)
			r.binder.Adopt(r.proc, rec, c.trusted)
			must.Eq(t, "0-1", r.threads(), must.Sprint("Nomad waits for the adoption"))
			n.Reevaluate()
			must.Eq(t, c.first, r.threads())
			r.binder.AttachByDriverState(nil, rec)
			r.isConfinedTo("1")
			must.SliceEmpty(t, r.said())
		})
	}
}

// A run that lost its cores while its record cannot be written stays where it is for a
// while; nobody is told that it has them.
func TestRecover_LostCoresWhileTheRecordCannotBeWritten(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	for range 2 {
		_, err := n.run(1).binder.Lease(cpuset.Set{})
		must.NoError(t, err)
	}
	r := adopted(t, n, Run{Asked: 1})
	rec := r.pidFile()
	must.NoError(t, os.Rename(r.dir, r.dir+".away"))
	r.binder.Adopt(r.proc, rec, true)
	n.Settle()
	r.binder.AttachByPIDFile(rec)
	must.Eq(t, []string{
		"Running without affinity: lost core 0 (taken while the driver was away), and 1 core asked, 0 free",
		"Recovered without cores of its own: core 0, which the pid file tells, is not to be had",
	}, r.said())
	must.SliceEmpty(t, r.binder.Leased())
	must.NoError(t, os.Rename(r.dir+".away", r.dir))
	n.Reevaluate()
	must.SliceEmpty(t, r.pidFile().Cores)
	r.isConfinedTo(n.online())
}

func TestRecover_AdoptedInTheMiddleOfItsLaunch(t *testing.T) {
	n := newNode(t)
	r := adopted(t, n, Run{Asked: 1})
	r.binder.Adopt(r.proc, pidfile.Record{}, false)
	lease, leased := r.lease()
	must.True(t, leased)
	must.Zero(t, lease.PID)
	must.Eq(t, []int{0}, r.binder.CPUs(), must.Sprint("as spec.json says"))
	r.binder.AttachByPIDFile(r.pidFile())
	r.runsOn("0")
}

// A run that was adopted without its details is adopted as though the driver had
// chosen its cores.
func TestRecover_Amended(t *testing.T) {
	for name, reserved := range map[string]bool{"reserved": true, "not reserved": false} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := adopted(t, n, Run{})
			r.binder.Adopt(r.proc, r.pidFile(), true)
			r.binder.Amend(3, reserved, "other.slice")
			r.runsOn("0")
			lease, _ := r.lease()
			must.Eq(t, reserved, lease.Reserved)
			must.Eq(t, 3, r.binder.run.Asked)
			must.True(t, n.parents["other.slice"])
			must.SliceEmpty(t, r.said())
			r.binder.AttachByPIDFile(r.pidFile())
			r.runsOn("0")
		})
	}
}

// What changed while no plugin was there: a run that can no longer have its cores takes
// none of a run that is adopted after it.
func TestRecover_AfterAChangeOfTheNode(t *testing.T) {
	needCPUs(t, 2)
	const goes, stays = 1, 0 // cores of the run that loses its own, and of the other
	for name, c := range map[string]struct {
		order  []int
		attach bool // before Settle
	}{
		"the one that goes is adopted first":  {[]int{goes, stays}, false},
		"the one that stays is adopted first": {[]int{stays, goes}, false},
		"Nomad hands them over at once":       {[]int{stays, goes}, true},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, func(s *Settings) { s.Usable = cpuset.Of(stays) })
			runs := map[int]*run{}
			for _, core := range c.order {
				r := n.runOf(Run{Asked: 1})
				r.spec.CPUs = []int{core}
				r.launch()
				r.proc = r.open()
				r.binder.Adopt(r.proc, r.pidFile(), true)
				runs[core] = r
				must.Eq(t, parse(t, fmt.Sprint(core)).String(), r.threads(), must.Sprint("nobody is moved yet"))
			}
			if !c.attach {
				n.Settle()
			}
			for _, core := range c.order {
				runs[core].binder.AttachByPIDFile(runs[core].pidFile())
			}
			runs[stays].runsOn("0")
			must.Eq(t, []string{"Restored core 0 from the pid file"}, runs[stays].said())
			runs[goes].isConfinedTo(n.online())
			must.Eq(t, []string{
				"Running without affinity: lost core 1 (no longer in cores.usable), and 1 core asked, 0 free",
				"Recovered without affinity, as the pid file says",
			}, runs[goes].said())
		})
	}
}

// The event of a run that lost cores names what took them.
func TestWhyLost(t *testing.T) {
	for name, c := range map[string]struct {
		usable, nomad, reserved, lost string
		want                          string
	}{
		"nothing":           {"", "", "", "", ""},
		"nobody tells":      {"", "", "", "1", whyTaken},
		"usable":            {"0", "", "", "1", whyUsable},
		"Nomad's":           {"", "0", "", "1", whyNomad},
		"reserved":          {"", "", "1-2", "1", whyReserved},
		"offline":           {"", "", "", "9", whyOffline},
		"usable before all": {"0", "0", "1", "1", whyUsable},
		"several":           {"0-2", "", "2", "1-3,9", "9: offline; 3: no longer in cores.usable; 2: reserved by Nomad for another task; 1: " + whyTaken},
	} {
		t.Run(name, func(t *testing.T) {
			settings := Settings{Sysfs: sysfs(t, 1, 4, ""), Usable: parse(t, c.usable), CgroupRoot: t.TempDir()}
			if c.nomad != "" {
				nomad := parse(t, c.nomad)
				settings.Nomad = &nomad
			}
			topo, _, err := topology.Discover(settings.Sysfs)
			must.NoError(t, err)
			managed := topo.Online
			for _, set := range []string{c.usable, c.nomad} {
				if set != "" {
					managed = managed.Intersect(parse(t, set))
				}
			}
			cores := &Cores{settings: settings, alloc: allocator.New(topo, managed, settings.Options)}
			cores.alloc.SetUnavailable(parse(t, c.reserved))
			must.Eq(t, c.want, cores.whyLost(parse(t, c.lost), whyTaken))
		})
	}
}
