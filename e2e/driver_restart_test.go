// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

func (r *run) results() string {
	r.s.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.folder, "standin-results"))
	must.NoError(r.s.t, err)
	return string(data)
}

func TestDriver_GoesOnFromTheDump(t *testing.T) {
	s := newSite(t, "")
	whole := s.submit(jobHCL{name: "whole", folder: s.deck("whole", "solid_bar_impact"), config: "ncpu = 1"})
	whole.wait(api.AllocClientStatusComplete)

	hcl := jobHCL{name: "parts", folder: s.deck("parts", "solid_bar_impact"), config: "ncpu = 1",
		env: "STANDIN_PACE = \"5ms\"\nSTANDIN_POLL = \"5\""}
	part := s.start(hcl)
	s.waitCycles(part)
	must.NoError(t, s.StopJob(within(t), hcl.name, false))
	part.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))

	hcl.env = ""
	next := s.submit(hcl)
	if next.alloc == part.alloc {
		allocs, err := s.WaitPlaced(within(t), hcl.name, 2)
		must.NoError(t, err)
		next.alloc = allocs[0].ID
	}
	next.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Restarting from d3dump01"),
		cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
	must.Eq(t, whole.results(), next.results())

	t.Run("a completed run begins anew", func(t *testing.T) {
		hcl.name = "parts-again"
		again := s.submit(hcl)
		alloc := again.wait(api.AllocClientStatusComplete)
		must.False(t, containsAll(cluster.Events(alloc, "lsdyna"), "Restarting from"))
	})
}

func TestDriver_AsksTheLicenceServer(t *testing.T) {
	qrun := filepath.Join(t.TempDir(), "lstc_qrun")
	answer := func(free int) {
		must.NoError(t, os.WriteFile(qrun+".new", []byte(fmt.Sprintf(`#!/bin/sh
cat <<END
LICENSE INFORMATION

PROGRAM          EXPIRATION CPUS  USED   FREE    MAX | QUEUE
---------------- ----------      ----- ------ ------ | -----
LS-DYNA          07/31/2030         %2d %6d      8 |     3
                   LICENSE GROUP    %2d %6d      8 |     3
END
exit 1
`, 8-free, free, 8-free, free)), 0o755))
		must.NoError(t, os.Rename(qrun+".new", qrun))
	}
	answer(1)
	const server = "31010@licence.example"
	s := newSite(t, fmt.Sprintf("license {\n type = \"network\"\n server = %q\n qrun = %q\n}\n", server, qrun))
	short := s.submit(jobHCL{name: "short", folder: s.deck("short", "solid_bar_impact"), config: "ncpu = 2"})
	alloc := short.wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", "not enough free licences for LS-DYNA: asked 2, free 1 of 8, queue 3"))
	must.False(t, containsAll(cluster.Events(alloc, "lsdyna"), server))
	answer(2)
	enough := s.submit(jobHCL{name: "enough", folder: s.deck("enough", "solid_bar_impact"), config: "ncpu = 2"})
	enough.wait(api.AllocClientStatusComplete)
}

func TestDriver_EndsASolverThatWaitsForItsLicence(t *testing.T) {
	s := newSite(t, "")
	r := s.submit(jobHCL{name: "queued", folder: s.deck("queued", "solid_bar_impact"), config: `start_timeout = "3s"`,
		env: `STANDIN_FAULT = "license_wait=forever"`})
	r.wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", "within start_timeout 3s"))
	must.Len(t, 0, r.solvers())
}
