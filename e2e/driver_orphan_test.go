// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// Somebody removes the client's data_dir under a run. Its cores stay its own, whoever
// wants its folder reads how it is ended, and the next run goes on from its dump.
func TestDriver_OrphanIsEndedWithItsDump(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	folder := s.deck("orphan", "solid_bar_impact")
	hcl := jobHCL{name: "orphan", folder: folder, config: "ncpu = 1", env: `STANDIN_PACE = "100ms"`}
	r := s.start(hcl)
	s.waitCycles(r)
	s.killBoth()
	left, err := s.Processes()
	must.NoError(t, err)
	for _, p := range left { // Nomad's own, which nobody would end
		if slices.Contains(p.Args, "logmon") {
			must.NoError(t, cluster.Signal(p, syscall.SIGKILL))
		}
	}
	for _, dir := range []string{"alloc", "client"} { // the server's stays
		_ = exec.Command("rm", "-rf", s.Path("data", dir)).Run() // fails at mount points
	}
	_, _, err = s.API.Jobs().Deregister("orphan", true, nil) // of no effect on a client that has forgotten it
	must.NoError(t, err)
	start(t, s.Agent)
	must.NoError(t, s.WaitDriverHealthy(within(t), cluster.DriverName))
	must.Len(t, 1, r.solvers())

	plugin := func(args ...string) string { // where the agent is, whose cgroups are its own
		args = append([]string{"--target", fmt.Sprint(s.PID()), "--mount", "--", s.PluginPath()}, append(args, "-state-dir", s.StateDir())...)
		out, err := exec.CommandContext(within(t), "nsenter", args...).CombinedOutput()
		must.NoError(t, err, must.Sprint(string(out)))
		return string(out)
	}
	name := r.alloc + "/lsdyna"
	must.StrContains(t, strings.Join(strings.Fields(plugin("status")), " "), "reap -kill "+name+" ends it, with a dump")
	hcl.task = fmt.Sprintf("constraint {\n attribute = \"${node.unique.id}\"\n value = %q\n}", s.NodeID()) // the node that was is not known to be down yet
	hcl.name = "refused"
	s.submit(hcl).wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", "nomad-driver-lsdyna reap -kill "+name+" ends it, with a dump"))
	must.Len(t, 1, r.solvers())

	said := plugin("reap", "-kill", name)
	must.StrContains(t, said, "stopped with sw1, dump d3dump01 written at t = ")
	must.Len(t, 0, r.solvers())
	must.NoError(t, filepath.WalkDir("/sys/fs/cgroup", func(path string, _ fs.DirEntry, _ error) error {
		if strings.Contains(filepath.Base(path), r.alloc) {
			t.Errorf("a cgroup is left: %s", path)
		}
		return nil
	}))

	hcl.name = "successor"
	next := s.start(hcl)
	next.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Restarting from d3dump01"))
	must.NoError(t, s.StopJob(within(t), "successor", false))
	next.wait(api.AllocClientStatusComplete)
	must.StrContains(t, plugin("reap"), "removed")
	must.StrContains(t, strings.Join(strings.Fields(func() string {
		out, err := exec.CommandContext(within(t), s.PluginPath(), "inspect", folder).CombinedOutput()
		must.NoError(t, err)
		return string(out)
	}()), " "), "starting from the deck; ended")
}
