// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

func TestDriver_TellsTheOutcome(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	for _, c := range []struct {
		name, deck, env string
		code            int // 0: any but 0
		says            []string
	}{
		{
			"error with exit 0", "error_missing_include", `STANDIN_FAULT = "exit_code=0"`, 1,
			[]string{"rror termination: *** Error"},
		},
		{
			"error while solving", "error_negative_volume", `STANDIN_FAULT = "exit_code=0"`, 1,
			[]string{"*** Error 40509"},
		},
		{
			"normal termination too early", "solid_bar_impact", `STANDIN_FAULT = "short=0.3"`, 1,
			[]string{"ormal termination before the end time"},
		},
		{
			"no licence", "solid_bar_impact", `STANDIN_FAULT = "license_refused"`, 0,
			[]string{"icence"},
		},
		{
			"model beyond the licence", "solid_bar_impact", `STANDIN_FAULT = "element_limit=10"`, 0,
			[]string{"70043"},
		},
		{
			"abort", "solid_bar_impact", `STANDIN_FAULT = "abort=20"`, 134,
			[]string{"SIGABRT"},
		},
		{
			"leaves without a word", "solid_bar_impact", `STANDIN_FAULT = "vanish=20"`, 1,
			[]string{"LS-DYNA printed no end"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := strings.ReplaceAll(c.name, " ", "-")
			r := s.submit(jobHCL{name: name, folder: s.deck(name, c.deck), env: c.env})
			alloc := r.wait(api.AllocClientStatusFailed)
			code, _, err := cluster.Exit(alloc, "lsdyna")
			must.NoError(t, err)
			if c.code != 0 {
				must.Eq(t, c.code, code)
			}
			must.NotEq(t, 0, code)
			events := cluster.Events(alloc, "lsdyna")
			must.True(t, containsAll(events, c.says...), must.Sprintf("events:\n%s", strings.Join(events, "\n")))
			must.Len(t, 0, r.solvers())
		})
	}
}

func TestDriver_StopsWithADump(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	r := s.start(jobHCL{name: "stop", folder: s.deck("stop", "solid_bar_impact"), env: slow + "\nSTANDIN_POLL = \"5\""})
	s.waitCycles(r)
	must.NoError(t, s.StopJob(within(t), "stop", false))
	alloc := r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Stopping with sw1, dump d3dump01 written"))
	_, err := os.Stat(filepath.Join(r.folder, "d3dump01"))
	must.NoError(t, err)
	must.True(t, containsAll(cluster.Events(alloc, "lsdyna"), "topped by a sense switch in d3kil"))
	must.Len(t, 0, r.solvers())
	_, err = os.Stat(filepath.Join(r.folder, "d3kil"))
	must.ErrorIs(t, err, os.ErrNotExist)
}

// waitCycles waits until the run computes.
func (s *site) waitCycles(r *run) {
	s.t.Helper()
	must.NoError(s.t, cluster.Poll(within(s.t), "cycles", func() (bool, string, error) {
		data, _ := os.ReadFile(filepath.Join(r.folder, "stdout"))
		return bytes.Contains(data, []byte(" dt ")), string(data[max(0, len(data)-200):]), nil
	}))
}

func TestDriver_KillsWhatIgnoresEverything(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	hcl := jobHCL{
		name: "stubborn", folder: s.deck("stubborn", "solid_bar_impact"),
		env: slow + "\nSTANDIN_FAULT = \"ignore_sigterm,ignore_d3kil,child=3600\"",
	}
	r := &run{s: s, job: hcl.name, folder: hcl.folder}
	var err error
	r.alloc, err = s.Run(within(t), strings.Replace(hcl.String(), `kill_timeout = "60s"`, `kill_timeout = "3s"`, 1))
	must.NoError(t, err)
	r.wait(api.AllocClientStatusRunning, cluster.TaskState("lsdyna", "running"))
	s.waitCycles(r)
	must.NoError(t, s.StopJob(within(t), "stubborn", false))
	r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "did not end within kill_timeout"))
	must.Len(t, 0, r.solvers())
}

func TestDriver_AllocCommandsWork(t *testing.T) {
	t.Parallel()
	// Nomad 1.11 collects a task's statistics only where it publishes them.
	s := newSite(t, "", func(c *cluster.Config) { c.HCL = "telemetry {\n  publish_allocation_metrics = true\n}\n" })
	r := s.start(jobHCL{name: "commands", folder: s.deck("commands", "solid_bar_impact"), env: slow + "\nSTANDIN_POLL = \"5\"", config: "ncpu = 1"})
	s.waitCycles(r)
	alloc := r.wait(api.AllocClientStatusRunning)

	t.Run("exec", func(t *testing.T) {
		var out, errs bytes.Buffer
		code, err := s.API.Allocations().Exec(within(t), alloc, "lsdyna", false,
			[]string{"/bin/sh", "-c", "id -u; pwd; grep Cpus_allowed_list /proc/self/status; echo oops >&2; exit 7"},
			strings.NewReader(""), &out, &errs, nil, nil)
		must.NoError(t, err)
		must.Eq(t, 7, code)
		must.StrContains(t, out.String(), r.folder)
		must.StrContains(t, out.String(), r.checkCores().String()+"\n")
		must.Eq(t, "oops\n", errs.String())
		if os.Geteuid() == 0 {
			must.StrHasPrefix(t, "65534\n", out.String())
		}
	})
	t.Run("signal", func(t *testing.T) {
		must.NoError(t, s.API.Allocations().Signal(alloc, nil, "lsdyna", "SIGUSR1"))
		r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Switch sw3, dump d3dump01 written"))
		must.NoError(t, cluster.Poll(within(t), "dump on request", func() (bool, string, error) {
			_, err := os.Stat(filepath.Join(r.folder, "d3dump01"))
			return err == nil, "no d3dump01", nil
		}))
		must.Error(t, s.API.Allocations().Signal(alloc, nil, "lsdyna", "SIGNONSENSE"))
		must.Len(t, 1, r.solvers())
	})
	t.Run("logs -f", func(t *testing.T) {
		ctx, cancel := context.WithCancel(within(t))
		defer cancel()
		frames, errs := s.API.AllocFS().Logs(alloc, true, "lsdyna", "stdout", api.OriginStart, 0, ctx.Done(), nil)
		var seen bytes.Buffer
		for !bytes.Contains(seen.Bytes(), []byte(" dt ")) {
			select {
			case f, ok := <-frames:
				must.True(t, ok)
				seen.Write(f.Data)
			case err := <-errs:
				must.NoError(t, err)
			case <-ctx.Done():
				t.Fatalf("no progress line in the log: %q", seen.String())
			}
		}
	})
	t.Run("stats", func(t *testing.T) {
		must.NoError(t, cluster.Poll(within(t), "memory of the task", func() (bool, string, error) {
			stats, err := s.API.Allocations().Stats(alloc, nil)
			if err != nil {
				return false, err.Error(), nil
			}
			use := stats.Tasks["lsdyna"]
			if use == nil || use.ResourceUsage == nil {
				return false, fmt.Sprintf("%+v %+v", stats, use), nil
			}
			return use.ResourceUsage.MemoryStats.RSS > 1<<20 && len(use.Pids) == 1, fmt.Sprintf("%+v", use), nil
		}))
	})
}
