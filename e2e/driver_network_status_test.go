// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// Every node tells of the run, and of what an earlier run left in the folder nothing.
func TestNetwork_StatusKnowsTheRun(t *testing.T) {
	m := newMachines(t, 2)
	r := m.begin("shown", "openmpi", 0)
	nodes := fmt.Sprintf("the run's nodes: %s with 1 rank, %s with 1 rank", r.runs[0].s.Config.Network.Host, r.runs[1].s.Config.Network.Host)
	for i, part := range []string{"node 0 of 2, which leads: ", "node 1 of 2; node 0 leads: "} {
		must.StrContains(t, r.runs[i].s.prints("status"), part+nodes)
		must.StrContains(t, r.runs[i].s.prints("status", "-json"), `"nodes": 2,`)
	}
	must.NoError(t, m.server.StopJob(within(t), r.job.name, false))
	r.ends()
	r.nothingStays()
	must.StrContains(t, m.sites[0].prints("inspect", r.job.folder), nodes)

	waits := r.job
	waits.name, waits.nodes = "shown-later", 3
	_, err := m.server.Submit(within(t), waits.String(), "")
	must.NoError(t, err)
	later := m.placed(waits, 2)
	for _, run := range later.runs {
		must.NoError(t, cluster.Poll(within(t), "the missing node in status", func() (bool, string, error) {
			text := run.s.prints("status")
			must.StrNotContains(t, text, nodes)
			must.StrNotContains(t, text, "%")
			return strings.Contains(text, "waiting for nodes") &&
				strings.Contains(text, ": waiting for node 2 (it has left no record in the run folder yet) of 3"), text, nil
		}))
	}
	must.NoError(t, m.server.StopJob(within(t), waits.name, false))
	later.ends()
	later.nothingStays()
}
