// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
)

// A run that has lost the cores it began with, and whose pid file is spoiled
// after that, is the first to be found and yet takes no core of a run whose pid file
// is whole.
func TestAdopt_WholePidFilesComeFirst(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t, func(c *settings.Config) { c.Cores.Usable = "0-1" })
	first := func(digit string) string { return strings.Repeat(digit, 8) + "-0000-4000-8000-000000000000" }
	start := func(alloc string) *run {
		j := slowJob("ncpu = 1")
		j.alloc = alloc
		return n.start(j)
	}
	poor, one, other := start(first("1")), start(first("2")), start(first("3"))
	poor.runsOn("0")
	n.stop()
	// Both cores have an owner at any time: a free one would be bound to poor.
	poor.withCores()
	one.withCores(0)
	other.withCores(1)
	comeBack := func() {
		n.launch()
		for _, r := range []*run{poor, one, other} {
			r.comeBack()
		}
		one.runsOn("0")
		other.runsOn("1")
	}
	comeBack()

	n.stop()
	must.NoError(t, os.WriteFile(poor.pidPath(), []byte("garbage"), 0o600))
	comeBack()
	must.True(t, alive(poor.pid))
	_, leased := n.lease(poor.id)
	must.False(t, leased)
}
