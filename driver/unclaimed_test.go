// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// A run that Nomad does not ask for keeps its cores, and whoever meets it reads how it
// is ended.
func TestUnclaimed_RunIsToldWithItsWayOut(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	record := r.task().Record()
	must.Eq(t, "Healthy", n.fingerprint().HealthDescription)
	n.waits.Unclaimed = time.Millisecond
	n.restart()
	eventually(t, "that Nomad does not ask for it", func() bool { _, is := record.IsUnclaimed(); return is })
	must.Eq(t, "Healthy, but 1 run without an allocation: "+r.cfg.AllocID+"/solve (nomad-driver-lsdyna reap -kill ALLOC/TASK ends one, with a dump)",
		n.fingerprint().HealthDescription)
	j := slowJob("ncpu = 1")
	j.folder = r.folder
	must.StrContains(t, n.refusedFolder(j), "Nomad has no allocation for it any more, and nomad-driver-lsdyna reap -kill "+r.cfg.AllocID+"/solve ends it, with a dump")
	r.runsOn("0")

	r.comeBack() // later than it should
	_, unclaimed := record.IsUnclaimed()
	must.False(t, unclaimed)
	must.Eq(t, "Healthy", n.fingerprint().HealthDescription)
	must.StrContains(t, n.refusedFolder(j), "nomad alloc stop "+r.cfg.AllocID+" ends it")
}

// What Nomad made for a task that it has forgotten can be removed; what it shares with
// others stays.
func TestUnclaimed_CgroupsCanBeRemoved(t *testing.T) {
	n := newNode(t)
	j := slowJob("ncpu = 1")
	j.cgroup = true
	r := n.start(j)
	groups := r.task().Spec().Cgroups
	scope := r.cfg.AllocID + "." + r.cfg.Name
	must.Error(t, supervisor.RemoveTaskCgroups(r.recordDir(), scope)) // it lives
	r.stop()
	must.NoError(t, supervisor.RemoveTaskCgroups(r.recordDir(), "another."+r.cfg.Name))
	must.DirExists(t, groups.Processes())
	must.NoError(t, supervisor.RemoveTaskCgroups(r.recordDir(), scope))
	for _, dir := range groups.Join {
		if name := filepath.Base(dir); name == "share" {
			must.DirExists(t, dir)
		} else {
			must.DirNotExists(t, dir)
		}
	}
}
