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
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// A small restart moves the end time of a run that has completed. Its solver is killed
// after a dump, and Nomad starts the task again: it goes on from that dump, to the new end
// time, and the results are those of a run that nobody interrupted.
func TestDriver_SmallRestartMovesTheEndTime(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	whole := s.submit(jobHCL{name: "whole", folder: s.deck("whole", "solid_bar_impact"), config: "ncpu = 1"})
	whole.wait(api.AllocClientStatusComplete)

	first := s.submit(jobHCL{name: "half", folder: s.deck("half", "solid_bar_impact"), config: "ncpu = 1\nargs = [\"endtime=0.03\"]"})
	first.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "t = 0.03"))
	must.NotEq(t, whole.results(), first.results())
	must.NoError(t, os.WriteFile(filepath.Join(first.folder, "small.k"), []byte("*KEYWORD\n*CONTROL_TERMINATION\n      0.06\n*END\n"), 0o644))

	hcl := jobHCL{name: "rest", folder: first.folder, config: "ncpu = 1\nrestart = \"d3dump01\"", env: "STANDIN_PACE = \"40ms\""}
	text := strings.Replace(hcl.String(), `input    = "main.k"`, `input    = "small.k"`, 1)
	text = strings.Replace(text, "attempts = 0\n      mode     = \"fail\"", "attempts = 2\n      delay    = \"1s\"\n      mode     = \"fail\"", 1)
	alloc, err := s.Run(within(t), text)
	must.NoError(t, err)
	r := &run{s: s, job: hcl.name, folder: first.folder, alloc: alloc}
	running := r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Small restart from d3dump01 with small.k, as the job says"))
	must.NoError(t, cluster.Poll(within(t), "the restart's cycles", func() (bool, string, error) {
		data, _ := os.ReadFile(filepath.Join(r.folder, "messag01"))
		return strings.Contains(string(data), " dt "), string(data), nil
	}))
	must.NoError(t, s.API.Allocations().Signal(running, nil, "lsdyna", "SIGUSR1"))
	r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Switch sw3, dump d3dump02 written"))
	for _, p := range r.solvers() {
		must.NoError(t, unix.Kill(p.PID, unix.SIGKILL))
	}
	r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Restarting from d3dump02"),
		cluster.TaskEvent("lsdyna", "; this run began with d3dump01"), cluster.TaskEvent("lsdyna", "ormal termination at the end time: t = 0.06"))
	must.Eq(t, whole.results(), r.results())
}
