// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"slices"
	"strings"
	"testing"

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
	must.NoError(t, n.RecoverTask(persist(t, shy.handle)))
	onlyOn("0")
	second.stop()
	onlyOn("0-1")

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
	before := len(n.said(shy.id))
	shy.bindFromOutside(0)
	eventually(t, "it is back", func() bool { return slices.Equal(shy.threads(), []string{"1"}) })
	shy.task().Events.Emit("That was it")
	n.hears(shy.id, "That was it")
	must.Len(t, before+1, n.said(shy.id))
}

// Cores that Nomad has reserved for another driver's task are none to be on, too.
func TestUnpinned_KeepsOffReservedCores(t *testing.T) {
	needCPUs(t, 2)
	n := newLoneNode(t, func(c *settings.Config) { c.Cores.Usable = "0-1" })
	j := slowJob("ncpu = 2")
	j.cgroup = true
	must.NoError(t, setPartition("reserve", "1"))
	defer func() { must.NoError(t, setPartition("reserve", "")) }()
	shy := n.start(j)
	eventually(t, "it keeps off core 1", func() bool { return fmt.Sprint(shy.threads()) == "[0]" })
	must.SliceEmpty(t, shy.pidFile().Cores)
}
