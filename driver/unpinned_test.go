// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
)

// A task that got no cores keeps off those that others have, through their
// comings and goings and through restarts, and counts as owner of none.
func TestUnpinned_KeepsOffLeasedCores(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t, func(c *settings.Config) { c.Cores.Usable = "0-1" })
	everywhere := n.cores.Topology().Online.String()
	first := n.start(slowJob("ncpu = 1"))
	first.runsOn("0")
	shy := n.start(slowJob("ncpu = 2"))
	onlyOn := func(cpus string) {
		t.Helper()
		t.Logf("waiting for %s, now on %v", cpus, shy.threads())
		eventually(t, "the task without cores is on "+cpus, func() bool { return slices.Equal(shy.threads(), []string{cpus}) })
		must.SliceEmpty(t, shy.pidFile().Cores)
		_, leased := n.lease(shy.id)
		must.False(t, leased)
	}
	must.Eq(t, []string{"1"}, shy.threads()) // at once
	onlyOn("1")
	n.hears(shy.id, "Running without affinity: 2 cores asked, 1 free; kept off leased cores, on 1")

	second := n.start(slowJob("ncpu = 1"))
	second.runsOn("1")
	must.Eq(t, []string{everywhere}, shy.threads()) // nowhere else to go
	onlyOn(everywhere)

	first.stop()
	onlyOn("0")
	n.restart()
	second.comeBack()
	shy.comeBack()
	onlyOn("0")
	second.stop()
	n.hears(shy.id, "Bound to cores 0-1: they have become free")
	shy.runsOn("0-1")

	var told []string
	for _, words := range n.said(shy.id) {
		if strings.Contains(words, "leased cores") {
			told = append(told, words)
		}
	}
	must.Len(t, 1, told)
}

// What binds itself to a leased core is brought back without a word.
func TestUnpinned_IsBroughtBack(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t, func(c *settings.Config) { c.Cores.Usable = "0-1" })
	n.start(slowJob("ncpu = 1")).runsOn("0")
	shy := n.start(slowJob("ncpu = 2"))
	must.Eq(t, []string{"1"}, shy.threads())
	n.hears(shy.id, "Running without affinity")
	before := shy.saidByNow()
	shy.bindFromOutside(0)
	eventually(t, "it is back", func() bool { return slices.Equal(shy.threads(), []string{"1"}) })
	since := strings.TrimPrefix(shy.saidByNow(), before) // of its pace and its licence there may be something
	must.StrNotContains(t, since, "core")
	must.StrNotContains(t, since, "ffinity")
}

// Cores that Nomad has reserved for another driver's task are none to be on, too.
func TestUnpinned_KeepsOffReservedCores(t *testing.T) {
	needCPUs(t, 2)
	n := newLoneNode(t, func(c *settings.Config) { c.Cores.Usable = "0-1" })
	j := slowJob("ncpu = 2")
	j.cgroup = true
	must.NoError(t, setPartition("reserve", "1"))
	defer freeReserved(t)
	shy := n.start(j)
	eventually(t, "it keeps off core 1", func() bool { return fmt.Sprint(shy.threads()) == "[0]" })
	must.SliceEmpty(t, shy.pidFile().Cores)
}

// What a task gets late is its own like what others get at their start: through a
// restart, whose cores the driver state does not know, and to its end.
func TestUnpinned_GetsItsCoresWhenTheyAreFree(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t, func(c *settings.Config) { c.Cores.Usable = "0" })
	first := n.start(slowJob("ncpu = 1"))
	first.runsOn("0")
	second := n.start(slowJob("ncpu = 1"))
	third := n.start(slowJob("ncpu = 1"))
	n.restart()
	for _, r := range []*run{first, second, third} {
		r.comeBack()
	}
	first.stop()
	n.hears(second.id, "Bound to core 0: it has become free")
	second.runsOn("0")
	must.SliceEmpty(t, third.pidFile().Cores)
	n.restart()
	second.comeBack()
	third.comeBack()
	n.hears(second.id, "Restored core 0 from the pid file")
	second.runsOn("0")
	second.stop()
	n.hears(third.id, "Bound to core 0: it has become free")
	third.runsOn("0")
}

// A job that no time will give its cores is told so at once, before anything of it, or
// of its predecessor, is touched.
func TestUnpinned_MoreThanTheNodeHas(t *testing.T) {
	n := newNode(t, func(c *settings.Config) { c.Cores.Usable = "0" })
	r := n.start(slowJob("ncpu = 2"))
	n.hears(r.id, "Running without affinity: more cores are asked than this node gives out (1, not 2): ask for fewer with ncpu")
	_, _, err := n.StartTask(n.task(slowJob("ncpu = 2\n shortage = \"retry\"")))
	must.EqError(t, err, "cores: 2 asked, and this node gives out 1 at most: ask for fewer with ncpu")
	must.False(t, structs.IsRecoverable(err))
}
