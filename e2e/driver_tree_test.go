// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// A child that leaves its parents, its session and its signals behind is still in
// the cgroup, and ends with its task: also when the plugin that saw it start, or
// the supervisor, has been killed.
func TestDriver_StopFindsWhatHides(t *testing.T) {
	t.Parallel()
	requireCgroups(t)
	s := newSite(t, "")
	for _, c := range []struct {
		name   string
		before func(*run)
	}{
		{"plugin killed", func(r *run) { s.killPlugin() }},
		{"supervisor killed", func(r *run) {
			must.NoError(t, supervisor.EndProcess(r.supervisor()))
			r.said(time.Time{}, "supervisor was killed")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := strings.ReplaceAll(c.name, " ", "-")
			r := s.start(jobHCL{name: name, folder: s.deck(name, "solid_bar_impact"), config: "ncpu = 1", env: paced})
			s.waitCycles(r)
			r.shell(`trap '' TERM HUP INT; (setsid sh -c 'setsid sleep 3600 & exit 0' &) < /dev/null > /dev/null 2>&1`)
			must.NoError(t, cluster.Poll(within(t), "a hidden child", func() (bool, string, error) {
				return len(r.others()) == 1, fmt.Sprint(r.others()), nil
			}))
			must.SliceContains(t, pidsIn(t, s.cgroup(r.alloc, "lsdyna", "freezer")), r.others()[0].PID)
			c.before(r)
			r.recovered()
			must.NoError(t, s.StopJob(within(t), name, false))
			must.Len(t, 0, r.others())
			must.Len(t, 0, r.solvers())
		})
	}
}

// shell runs a command of the task's user beside the solver.
func (r *run) shell(command string) {
	r.s.t.Helper()
	alloc := r.wait(api.AllocClientStatusRunning)
	var out bytes.Buffer
	code, err := r.s.API.Allocations().Exec(within(r.s.t), alloc, "lsdyna", false, []string{"/bin/sh", "-c", command},
		strings.NewReader(""), &out, &out, nil, nil)
	must.NoError(r.s.t, err)
	must.Zero(r.s.t, code, must.Sprint(out.String()))
}

// others returns the living processes in the run folder that are no solvers.
func (r *run) others() []proc.Process {
	r.s.t.Helper()
	found, err := proc.Select(func(p proc.Process) bool { return p.Cwd == r.folder && p.Exe != r.s.solver })
	must.NoError(r.s.t, err)
	return found
}

// supervisor identifies the solver's parent.
func (r *run) supervisor() procfs.Identity { return r.pidFile().Supervisor() }

// A task's user forks without end: the kernel says no at max_processes, and only
// the task has to live with it. A solver that is stopped, too, cannot save the bomb.
func TestDriver_ForkBombEndsWithItsTask(t *testing.T) {
	t.Parallel()
	requireCgroups(t)
	const most = 100
	s := newSite(t, fmt.Sprintf("max_processes = %d", most))
	beside := s.start(jobHCL{name: "beside", folder: s.deck("beside", "solid_bar_impact"), config: "ncpu = 1", env: steady})
	pid := beside.pidFile().PID
	plugins, err := s.Plugins()
	must.NoError(t, err)

	hcl := jobHCL{name: "bomber", folder: s.deck("bomber", "solid_bar_impact"), config: "ncpu = 1", env: steady}
	alloc, err := s.Run(within(t), strings.Replace(hcl.String(), `kill_timeout = "60s"`, `kill_timeout = "3s"`, 1))
	must.NoError(t, err)
	bomber := &run{s: s, job: hcl.name, folder: hcl.folder, alloc: alloc}
	bomber.wait(api.AllocClientStatusRunning, cluster.TaskState("lsdyna", "running"))
	s.waitCycles(bomber)
	bomber.freeze()
	scope := s.pidsCgroup(alloc)
	must.Eq(t, strconv.Itoa(most), content(t, scope, "pids.max"))
	// A shell that is refused its fork ends, and its place goes to another's child.
	bomber.shell(`trap '' TERM HUP INT; b() { b & b & sleep 3600; }; b < /dev/null > /dev/null 2>&1 &`)
	must.NoError(t, cluster.Poll(within(t), "forks refused", func() (bool, string, error) {
		refused := content(t, scope, "pids.events")
		return refused != "max 0", refused + ", now " + content(t, scope, "pids.current"), nil
	}))
	must.Positive(t, len(bomber.others()))

	beside.recovered()
	beside.progresses()
	beside.checkCores()
	must.NoError(t, s.StopJob(within(t), "bomber", false))
	must.Len(t, 0, bomber.others())
	must.Len(t, 0, bomber.solvers())
	if cgroupsV2() {
		must.Len(t, 0, pidsIn(t, scope))
	} else {
		must.DirNotExists(t, scope)
	}
	must.Eq(t, pid, beside.pidFile().PID)
	must.Zero(t, beside.wait(api.AllocClientStatusRunning).TaskStates["lsdyna"].Restarts)
	now, err := s.Plugins()
	must.NoError(t, err)
	must.Eq(t, plugins[0].PID, now[0].PID)
}

// pidsCgroup is where the processes of a task are counted. Nomad makes no v1 cgroup
// for that; the driver makes one for each run.
func (s *site) pidsCgroup(alloc string) string {
	s.t.Helper()
	if cgroupsV2() {
		return s.cgroup(alloc, "lsdyna", "pids")
	}
	hierarchy := s.CgroupPath("/sys/fs/cgroup/pids/nomad")
	if _, err := os.Stat("/sys/fs/cgroup/pids"); err != nil {
		s.t.Skip("no cgroup v1 pids hierarchy here")
	}
	found, err := filepath.Glob(filepath.Join(hierarchy, alloc+".lsdyna.*"))
	must.NoError(s.t, err)
	must.Len(s.t, 1, found)
	return found[0]
}
