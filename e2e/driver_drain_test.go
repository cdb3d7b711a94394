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

// join starts another client of the site's server, with the same solver and perhaps
// further work roots.
func (s *site) join(roots ...string) *site {
	s.t.Helper()
	other := &site{t: s.t, scratch: s.scratch, roots: roots}
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

// paced is a run of some seconds that looks for switches now and then.
const paced = "STANDIN_PACE = \"10ms\"\nSTANDIN_POLL = \"5\""

// movingJob is a service whose run folder is in its task directory, which Nomad
// moves along with the allocation. Its deck is downloaded from url.
func movingJob(name, url string, files []string) string {
	var artifacts strings.Builder
	for _, file := range files {
		fmt.Fprintf(&artifacts, "artifact {\n source = \"%s/%s\"\n destination = \"local\"\n }\n", url, file)
	}
	job := jobHCL{name: name, folder: "local", config: "ncpu = 1", env: paced, task: artifacts.String()}.String()
	return strings.NewReplacer(`type = "batch"`, `type = "service"`, `task "lsdyna"`, `migrate {
      min_healthy_time = "1s"
    }
    ephemeral_disk {
      migrate = true
      sticky  = true
      size    = 200
    }
    task "lsdyna"`).Replace(job)
}

// drain takes this client's allocations away. Nomad 1.11 replaces a service's at
// once; a batch job's it only stops, at the deadline.
func (s *site) drain(deadline time.Duration) {
	s.t.Helper()
	_, err := s.API.Nodes().UpdateDrain(s.NodeID(), &api.DrainSpec{Deadline: deadline}, false, nil)
	must.NoError(s.t, err)
}

// A node is drained: the run writes its dump, Nomad moves the run folder, and
// the run goes on at another node where it stopped.
func TestDriver_DrainedRunGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	decks, err := filepath.Abs(filepath.Join("..", "example", "decks", "solid_bar_impact"))
	must.NoError(t, err)
	server := httptest.NewServer(http.FileServer(http.Dir(decks)))
	t.Cleanup(server.Close)
	first := newSite(t, "")
	whole := first.submit(jobHCL{name: "whole", folder: first.deck("whole", "solid_bar_impact"), config: "ncpu = 1"})
	whole.wait(api.AllocClientStatusComplete)
	second := first.join()
	second.eligible(false) // the job is to begin on the first

	alloc, err := first.Run(within(t), movingJob("moving", server.URL, []string{"main.k", "material.k", "mesh.k"}))
	must.NoError(t, err)
	before := first.runOf("moving", alloc)
	before.wait(api.AllocClientStatusRunning, cluster.TaskState("lsdyna", "running"))
	first.waitCycles(before)
	goOn := before.freeze()
	second.eligible(true)
	first.drain(time.Hour)
	before.waitSwitch()
	goOn()
	before.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
	must.Len(t, 0, before.solvers())

	allocs, err := first.WaitPlaced(within(t), "moving", 2)
	must.NoError(t, err)
	must.Eq(t, second.NodeID(), allocs[0].NodeID)
	after := second.runOf("moving", allocs[0].ID)
	_, err = first.WaitAlloc(within(t), after.alloc, cluster.Terminal, cluster.TaskEvent("lsdyna", "Restarting from d3dump01"),
		cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
	must.NoError(t, err)
	must.Eq(t, whole.results(), after.results())
}

// A batch job on a file system that all nodes share: the drain stops it with a
// dump, and the job that is run again goes on at another node.
func TestDriver_DrainedBatchJobGoesOnWhenRunAgain(t *testing.T) {
	t.Parallel()
	first := newSite(t, "")
	whole := first.submit(jobHCL{name: "whole", folder: first.deck("whole", "solid_bar_impact"), config: "ncpu = 1"})
	whole.wait(api.AllocClientStatusComplete)

	hcl := jobHCL{name: "shared", folder: first.deck("shared", "solid_bar_impact"), config: "ncpu = 1", env: paced}
	before := first.start(hcl)
	first.waitCycles(before)
	goOn := before.freeze()
	second := first.join()
	first.drain(time.Second)
	before.waitSwitch()
	goOn()
	// Complete, or failed: 1.10.5 was seen to forget that it had killed the task itself.
	_, err := first.WaitAlloc(within(t), before.alloc, cluster.TaskState("lsdyna", "dead"), cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
	must.NoError(t, err)
	must.Len(t, 0, before.solvers())

	hcl.env = ""
	after := before.runAgain(hcl.String())
	// From the first dump, or, where Nomad has replaced the run already (1.8.4 does), from that one's.
	done := after.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Restarting from d3dump0"),
		cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
	must.Eq(t, second.NodeID(), done.NodeID)
	must.Eq(t, whole.results(), after.results())
}

// eligible says whether Nomad may place allocations here; a drain is over then.
func (s *site) eligible(yes bool) {
	s.t.Helper()
	_, err := s.API.Nodes().UpdateDrain(s.NodeID(), nil, yes, nil)
	must.NoError(s.t, err)
	_, err = s.API.Nodes().ToggleEligibility(s.NodeID(), yes, nil)
	must.NoError(s.t, err)
}

// runOf is a run whose folder is in its task directory on this client.
func (s *site) runOf(job, alloc string) *run {
	return &run{s: s, job: job, alloc: alloc, folder: filepath.Join(s.TaskDir(alloc, "lsdyna"), "local")}
}
