// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// Nomad starts the tasks of a service job anew when they end, also those that have
// done all that there was to do, and calls the allocation failed in the end.
func TestDriver_ACompletedServiceKeepsItsResults(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	hcl := jobHCL{name: "service", folder: s.deck("service", "solid_bar_impact"), config: "ncpu = 1"}
	alloc, err := s.Run(within(t), strings.NewReplacer(`type = "batch"`, `type = "service"`, `attempts = 0
      mode     = "fail"`, `attempts = 2
      interval = "30m"
      delay    = "1s"
      mode     = "fail"`).Replace(hcl.String()))
	must.NoError(t, err)
	r := &run{s: s, job: hcl.name, folder: hcl.folder, alloc: alloc}
	const told = "Normal termination at the end time"
	_, err = s.WaitAlloc(within(t), alloc, cluster.TaskEvent("lsdyna", told))
	must.NoError(t, err)
	done, err := os.Stat(filepath.Join(r.folder, "standin-results"))
	must.NoError(t, err)

	last := r.wait(api.AllocClientStatusFailed, cluster.Restarts("lsdyna", 2),
		cluster.TaskEvent("lsdyna", "This allocation has completed its run already, at "))
	events := cluster.Events(last, "lsdyna")
	must.True(t, containsAll(events, told))
	must.FileNotExists(t, filepath.Join(r.folder, "stdout.1"))
	now, err := os.Stat(filepath.Join(r.folder, "standin-results"))
	must.NoError(t, err)
	must.Eq(t, done.ModTime(), now.ModTime())
}

// Nomad replaces an allocation that it calls failed, by default for ever.
func TestDriver_ACompletedServiceKeepsItsResultsWhenItIsReplaced(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	hcl := jobHCL{name: "replaced", folder: s.deck("replaced", "solid_bar_impact"), config: "ncpu = 1"}
	_, err := s.Run(within(t), strings.NewReplacer(`type = "batch"`, `type = "service"`, `attempts = 0
      mode     = "fail"`, `attempts = 1
      interval = "30m"
      delay    = "1s"
      mode     = "fail"`, `attempts  = 0
      unlimited = false`, `delay          = "5s"
      delay_function = "constant"
      unlimited      = true`).Replace(hcl.String()))
	must.NoError(t, err)
	all, err := s.WaitPlaced(within(t), hcl.name, 2)
	must.NoError(t, err)
	results := filepath.Join(hcl.folder, "standin-results")
	done, err := os.Stat(results)
	must.NoError(t, err)
	for _, stub := range all {
		alloc, err := s.WaitAlloc(within(t), stub.ID, cluster.TaskEvent("lsdyna", "Normal termination at the end time"))
		must.NoError(t, err)
		if alloc.PreviousAllocation != "" {
			_, err = s.WaitAlloc(within(t), stub.ID, cluster.TaskEvent("lsdyna", "This job has completed its run already, and Nomad may start it again by itself"))
			must.NoError(t, err)
		}
	}
	now, err := os.Stat(results)
	must.NoError(t, err)
	must.Eq(t, done.ModTime(), now.ModTime())
	must.FileNotExists(t, filepath.Join(hcl.folder, "stdout.1"))
}
