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

// watchedDeck is a run folder whose deck has statistics of every cycle.
func (s *site) watchedDeck(name string) string {
	s.t.Helper()
	folder := s.deck(name, "solid_bar_impact")
	path := filepath.Join(folder, "main.k")
	deck, err := os.ReadFile(path)
	must.NoError(s.t, err)
	every := strings.Replace(string(deck), "*DATABASE_GLSTAT\n   &dtplot", "*DATABASE_GLSTAT\n    1.0E-6", 1)
	must.NotEq(s.t, string(deck), every)
	must.NoError(s.t, os.WriteFile(path, []byte(every), 0o644))
	return folder
}

// Each thing that a watch can do, on a real agent.
func TestDriver_WatchesTheHealthOfARun(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	const drift = slow + "\nSTANDIN_FAULT = \"energy_drift=20\""
	t.Run("event", func(t *testing.T) {
		r := s.start(jobHCL{name: "watch-event", folder: s.watchedDeck("watch-event"), env: drift, config: "watch { energy_ratio = 1.1 }"})
		alloc := r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Watch: energy ratio "))
		must.True(t, containsAll(cluster.Events(alloc, "lsdyna"), " > 1.1 at t = "))
		must.Len(t, 1, r.solvers())
		must.NoError(t, s.StopJob(within(t), "watch-event", false))
		r.wait(api.AllocClientStatusComplete)
	})
	t.Run("dump", func(t *testing.T) {
		r := s.start(jobHCL{name: "watch-dump", folder: s.watchedDeck("watch-dump"), env: slow + "\nSTANDIN_FAULT = \"dt_collapse=20\"", config: "watch {\n dt_min = 1e-7\n action = \"dump\"\n }"})
		alloc := r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Switch sw3, dump d3dump01 written"))
		must.True(t, containsAll(cluster.Events(alloc, "lsdyna"), "Watch: time step ", " < 1e-07 at t = ", "; the solver is to write a dump (sw3)"))
		must.Len(t, 1, r.solvers())
		must.NoError(t, s.StopJob(within(t), "watch-dump", false))
		r.wait(api.AllocClientStatusComplete)
	})
	t.Run("stop, and no restart into the same", func(t *testing.T) {
		hcl := jobHCL{name: "watch-stop", folder: s.watchedDeck("watch-stop"), env: drift, config: "watch {\n energy_ratio = 1.1\n action = \"stop\"\n }"}
		job := strings.Replace(hcl.String(), "attempts = 0\n      mode     = \"fail\"", "attempts = 5\n      interval = \"1h\"\n      delay    = \"1s\"\n      mode     = \"fail\"", 1)
		must.StrContains(t, job, "attempts = 5")
		alloc, err := s.Run(within(t), job)
		must.NoError(t, err)
		r := &run{s: s, job: hcl.name, folder: hcl.folder, alloc: alloc}
		failed := r.wait(api.AllocClientStatusFailed)
		must.True(t, containsAll(cluster.Events(failed, "lsdyna"), "topped by watch: energy ratio ", "Stopping with sw1, dump d3dump01 written", "the run in this folder was stopped by watch"))
		must.Len(t, 0, r.solvers())
		dumps, err := filepath.Glob(filepath.Join(r.folder, "d3dump*"))
		must.NoError(t, err)
		must.Len(t, 1, dumps, must.Sprint("it was started again"))
	})
	t.Run("silence", func(t *testing.T) {
		r := s.start(jobHCL{name: "watch-silence", folder: s.deck("watch-silence", "solid_bar_impact"), env: slow + "\nSTANDIN_FAULT = \"quiet=60\"", config: "watch {\n silence = \"4s\"\n action = \"stop\"\n }"})
		alloc := r.wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", "topped by watch: silence for "))
		must.True(t, containsAll(cluster.Events(alloc, "lsdyna"), " > 4s at t = "))
		must.Len(t, 0, r.solvers())
	})
}
