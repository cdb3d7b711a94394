// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
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
		moved    = "Moved from cores 0 to 1: cores were taken while the driver was away"
		homeless = "Running without affinity: cores 0 are taken: 1 core asked, 0 free"
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
		"by its pid file":                 {0, false, []int{0}, false, byPIDFile, "0", []string{"Restored cores 0 from the pid file"}},
		"by its pid file, other cores":    {0, false, []int{1}, false, byPIDFile, "1", []string{"Restored cores 1 from the pid file", "Affinity was changed from outside to cores 0; bound to cores 1 again"}},
		"reserved":                        {0, true, []int{0}, false, byPIDFile, "0", []string{"Restored cores 0 from the pid file"}},
		"cores are taken":                 {1, false, []int{0}, false, byPIDFile, "1", []string{moved, "Restored cores 1 from the pid file"}},
		"all cores are taken":             {2, false, []int{0}, false, byPIDFile, "", []string{homeless, "Recovered without affinity, as the pid file says"}},
		"without affinity":                {0, false, nil, false, byPIDFile, "", []string{"Recovered without affinity, as the pid file says"}},
		"by the driver state":             {0, false, nil, true, byState(0), "0", []string{"Restored cores 0 from the driver state"}},
		"by the driver state, other core": {0, false, nil, true, byState(1), "1", []string{"Restored cores 1 from the driver state"}},
		"driver state without cores":      {0, false, nil, true, byState(), "0", []string{"Restored cores 0 from the driver state"}},
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
			r := n.run(1)
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
