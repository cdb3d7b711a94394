// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	t.Parallel()
	s := newSite(t, "")
	whole := s.submit(jobHCL{name: "whole", folder: s.deck("whole", "solid_bar_impact"), config: "ncpu = 1"})
	whole.wait(api.AllocClientStatusComplete)

	hcl := jobHCL{
		name: "parts", folder: s.deck("parts", "solid_bar_impact"), config: "ncpu = 1",
		env: "STANDIN_PACE = \"5ms\"\nSTANDIN_POLL = \"5\"",
	}
	part := s.start(hcl)
	s.waitCycles(part)
	must.NoError(t, s.StopJob(within(t), hcl.name, false))
	part.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))

	hcl.env = ""
	next := part.runAgain(hcl.String())
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

// runAgain submits a job anew and returns the allocation that comes of it.
func (r *run) runAgain(hcl string) *run {
	r.s.t.Helper()
	before, err := r.s.WaitPlaced(within(r.s.t), r.job, 1)
	must.NoError(r.s.t, err)
	_, err = r.s.Submit(within(r.s.t), hcl, "")
	must.NoError(r.s.t, err)
	allocs, err := r.s.WaitPlaced(within(r.s.t), r.job, len(before)+1)
	must.NoError(r.s.t, err)
	return &run{s: r.s, job: r.job, folder: r.folder, alloc: allocs[0].ID}
}

// A stop is interrupted between its sense switch and the solver's end: whoever
// comes next finishes it, and the run goes on from its dump.
func TestDriver_StopSurvivesTheDeathOfThePlugin(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	whole := s.submit(jobHCL{name: "whole", folder: s.deck("whole", "solid_bar_impact"), config: "ncpu = 1"})
	whole.wait(api.AllocClientStatusComplete)
	for _, how := range disturbances {
		if strings.HasPrefix(how.name, "graceful") {
			continue // such a client ends only when the stop is over
		}
		name := strings.ReplaceAll(how.name, " ", "-")
		t.Run(how.name, func(t *testing.T) {
			hcl := jobHCL{name: name, folder: s.deck(name, "solid_bar_impact"), config: "ncpu = 1", env: "STANDIN_PACE = \"10ms\"\nSTANDIN_POLL = \"5\""}
			part := s.start(hcl)
			s.waitCycles(part)
			goOn := part.freeze()
			_, _, err := s.API.Jobs().Deregister(name, false, nil)
			must.NoError(t, err)
			part.waitSwitch()
			how.do(s)
			must.Len(t, 1, part.solvers())
			goOn()
			must.NoError(t, cluster.Poll(within(t), "the solver's end", func() (bool, string, error) {
				return len(part.solvers()) == 0, "", nil
			}))
			_, err = s.WaitAlloc(within(t), part.alloc, cluster.Terminal, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
			must.NoError(t, err)

			hcl.env = ""
			next := part.runAgain(hcl.String())
			next.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Restarting from d3dump01"),
				cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
			must.Eq(t, whole.results(), next.results())
		})
	}
}

// The newest dump is cut: the solver refuses it, and Nomad's restart of the task
// goes on from the one before it.
func TestDriver_FallsBackToAnOlderDump(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	whole := s.submit(jobHCL{name: "whole", folder: s.deck("whole", "solid_bar_impact"), config: "ncpu = 1"})
	whole.wait(api.AllocClientStatusComplete)

	hcl := jobHCL{name: "cut", folder: s.deck("cut", "solid_bar_impact"), config: "ncpu = 1", env: `STANDIN_PACE = "100ms"`}
	r := s.start(hcl)
	s.waitCycles(r)
	alloc := r.wait(api.AllocClientStatusRunning)
	must.NoError(t, s.API.Allocations().Signal(alloc, nil, "lsdyna", "SIGUSR1"))
	r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Switch sw3, dump d3dump01 written"))
	must.NoError(t, s.API.Allocations().Signal(alloc, nil, "lsdyna", "SIGUSR2"))
	r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Switch sw4: plot state written"))
	must.NoError(t, s.StopJob(within(t), "cut", false))
	r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump02 written"))
	path := filepath.Join(r.folder, "d3dump02")
	info, err := os.Stat(path)
	must.NoError(t, err)
	must.NoError(t, os.Truncate(path, info.Size()/2))

	hcl.env = ""
	next := r.runAgain(strings.Replace(hcl.String(), `attempts = 0
      mode     = "fail"`, `attempts = 2
      interval = "30m"
      delay    = "0s"
      mode     = "fail"`, 1))
	next.wait(api.AllocClientStatusComplete, cluster.Restarts("lsdyna", 1),
		cluster.TaskEvent("lsdyna", "Restarting from d3dump01"), cluster.TaskEvent("lsdyna", "d3dump02 was tried and is bad"),
		cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
	must.Eq(t, whole.results(), next.results())
}

func TestDriver_AsksTheLicenceServer(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	s := newSite(t, "")
	r := s.submit(jobHCL{
		name: "queued", folder: s.deck("queued", "solid_bar_impact"), config: `start_timeout = "3s"`,
		env: `STANDIN_FAULT = "license_wait=forever"`,
	})
	r.wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", "within start_timeout 3s"))
	must.Len(t, 0, r.solvers())
}
