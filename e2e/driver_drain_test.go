// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// join starts another client of the site's server, with the same solver.
func (s *site) join() *site {
	s.t.Helper()
	other := &site{t: s.t, scratch: s.scratch}
	other.Agent = newAgent(s.t, cluster.Config{Role: cluster.ClientOnly, Server: s.Config.Server, Plugin: s.Config.Plugin})
	var err error
	other.solver, err = other.InstallBinary(binary(s.t, "lsdyna-standin"), "standin_smp_d_R14")
	must.NoError(s.t, err)
	other.Config.PluginConfig = other.pluginConfig("")
	start(s.t, other.Agent)
	must.NoError(s.t, other.WaitDriverHealthy(within(s.t), cluster.DriverName))
	return other
}

// freeze stops a run's solver where it is, so that a test can do what must
// happen before the solver's next cycle. What it returns lets the solver go on.
func (r *run) freeze() (goOn func()) {
	r.s.t.Helper()
	pid := r.pidFile().PID
	must.NoError(r.s.t, unix.Kill(pid, unix.SIGSTOP))
	return func() { must.NoError(r.s.t, unix.Kill(pid, unix.SIGCONT)) }
}

// waitSwitch waits until a sense switch lies in the run folder.
func (r *run) waitSwitch() {
	r.s.t.Helper()
	must.NoError(r.s.t, cluster.Poll(within(r.s.t), "d3kil", func() (bool, string, error) {
		_, err := os.Stat(filepath.Join(r.folder, "d3kil"))
		return err == nil, fmt.Sprint(err), nil
	}))
}

// movingJob is a job whose run folder is in its task directory, which Nomad moves
// along with the allocation. Its deck is downloaded from url.
func movingJob(name, url string, files []string, env string) string {
	var artifacts strings.Builder
	for _, file := range files {
		fmt.Fprintf(&artifacts, "artifact {\n source = \"%s/%s\"\n destination = \"local\"\n }\n", url, file)
	}
	job := jobHCL{name: name, folder: "local", config: "ncpu = 1", env: env, task: artifacts.String()}.String()
	return strings.Replace(job, "task \"lsdyna\"", "ephemeral_disk {\n migrate = true\n sticky = true\n size = 200\n }\n task \"lsdyna\"", 1)
}

// A node is drained: the run writes its dump, Nomad moves the run folder, and
// the run goes on at another node where it stopped.
func TestDriver_DrainedRunGoesOnElsewhere(t *testing.T) {
	decks, err := filepath.Abs(filepath.Join("..", "example", "decks", "solid_bar_impact"))
	must.NoError(t, err)
	server := httptest.NewServer(http.FileServer(http.Dir(decks)))
	t.Cleanup(server.Close)
	first := newSite(t, "")
	whole := first.submit(jobHCL{name: "whole", folder: first.deck("whole", "solid_bar_impact"), config: "ncpu = 1"})
	whole.wait(api.AllocClientStatusComplete)

	second := first.join()
	_, err = first.API.Nodes().ToggleEligibility(second.NodeID(), false, nil) // the job is to begin on the first
	must.NoError(t, err)
	files := []string{"main.k", "material.k", "mesh.k"}
	alloc, err := first.Run(within(t), movingJob("moving", server.URL, files, "STANDIN_PACE = \"10ms\"\nSTANDIN_POLL = \"5\""))
	must.NoError(t, err)
	before := &run{s: first, job: "moving", alloc: alloc, folder: filepath.Join(first.TaskDir(alloc, "lsdyna"), "local")}
	before.wait(api.AllocClientStatusRunning, cluster.TaskState("lsdyna", "running"))
	first.waitCycles(before)
	goOn := before.freeze()

	_, err = first.API.Nodes().ToggleEligibility(second.NodeID(), true, nil)
	must.NoError(t, err)
	// A batch job is left alone until the drain's deadline.
	_, err = first.API.Nodes().UpdateDrain(first.NodeID(), &api.DrainSpec{Deadline: time.Second}, false, nil)
	must.NoError(t, err)
	before.waitSwitch()
	goOn()
	before.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
	must.Len(t, 0, before.solvers())

	allocs, err := first.WaitPlaced(within(t), "moving", 2)
	must.NoError(t, err)
	must.Eq(t, second.NodeID(), allocs[0].NodeID)
	after := &run{s: second, job: "moving", alloc: allocs[0].ID, folder: filepath.Join(second.TaskDir(allocs[0].ID, "lsdyna"), "local")}
	after.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Restarting from d3dump01"),
		cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
	must.Eq(t, whole.results(), after.results())
}
