// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// cgroupsV2 tells whether this machine has the unified hierarchy.
func cgroupsV2() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// requireCgroups skips a test of what the kernel bounds by cgroup.
func requireCgroups(t *testing.T) {
	t.Helper()
	requireRoot(t)
	if _, err := os.Stat("/sys/fs/cgroup/memory"); err != nil && !cgroupsV2() {
		t.Skip("needs cgroups with a memory controller")
	}
}

// cgroup is where Nomad puts a task without reserved cores; with v1 each
// controller has a tree of its own.
func (s *site) cgroup(alloc, task, controller string) string {
	if cgroupsV2() {
		return s.CgroupPath("/sys/fs/cgroup/nomad.slice/share.slice/" + alloc + "." + task + ".scope")
	}
	return s.CgroupPath("/sys/fs/cgroup/" + controller + "/nomad/" + alloc + "." + task)
}

// limitFiles are what bounds memory and weighs CPU time, of v2 and of v1.
var limitFiles = map[string][]string{
	"memory": {
		"memory.max", "memory.low", "memory.min", "memory.high", "memory.swap.max", "memory.oom.group",
		"memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness",
	},
	"cpu": {"cpu.weight", "cpu.max", "cpu.shares", "cpu.cfs_quota_us"},
}

// limits reads a task's limits: those that this kernel has.
func (s *site) limits(alloc, task string) map[string]string {
	s.t.Helper()
	found := map[string]string{}
	for controller, files := range limitFiles {
		for _, file := range files {
			path := filepath.Join(s.cgroup(alloc, task, controller), file)
			if _, err := os.Stat(path); err == nil {
				found[file] = content(s.t, path)
			}
		}
	}
	return found
}

// oversubscribe lets jobs have a memory_max above their memory.
func (s *site) oversubscribe() {
	s.t.Helper()
	was, _, err := s.API.Operator().SchedulerGetConfiguration(nil)
	must.NoError(s.t, err)
	was.SchedulerConfig.MemoryOversubscriptionEnabled = true
	_, _, err = s.API.Operator().SchedulerSetConfiguration(was.SchedulerConfig, nil)
	must.NoError(s.t, err)
}

// What a resources block means is what raw_exec makes of it: Nomad's users know
// no other. Each block has a task of ours and one of raw_exec's beside it.
func TestDriver_LimitsAreRawExecs(t *testing.T) {
	t.Parallel()
	requireCgroups(t)
	s := newSite(t, "")
	s.oversubscribe()
	// Bytes; what "no limit" reads as differs.
	hard, soft, weight, none := "memory.limit_in_bytes", "memory.soft_limit_in_bytes", "cpu.shares", "9223372036854771712"
	noSoft := none
	if cgroupsV2() {
		hard, soft, weight, none, noSoft = "memory.max", "memory.low", "cpu.weight", "max", "0"
	}
	cases := []struct{ name, resources, hard, soft string }{
		{"memory", "cpu = 700", "314572800", noSoft},
		{"memory-max", "cpu = 300\n memory_max = 500", "524288000", "314572800"},
		{"no-hard-limit", "cpu = 100\n memory_max = -1", none, "314572800"},
	}
	if inVM() { // where each task takes its time, and TestVM_Driver sees to the first
		cases = cases[1:]
	}
	weights := map[string]bool{}
	for _, c := range cases {
		// One pair after the other: a Nomad that starts many at once on a busy
		// machine gives up on its own helpers.
		j := jobHCL{name: c.name, folder: s.deck(c.name, "solid_bar_impact"), config: "ncpu = 1", env: steady, resources: c.resources}
		ours, theirs := s.submit(j), s.twin(j)
		ours.wait(api.AllocClientStatusRunning, cluster.TaskState("lsdyna", "running"))
		theirs.wait(api.AllocClientStatusRunning, cluster.TaskState("sleep", "running"))
		must.SliceContains(t, pidsIn(t, s.cgroup(ours.alloc, "lsdyna", "memory")), ours.pidFile().PID)
		own := s.limits(ours.alloc, "lsdyna")
		t.Logf("%s: %v", c.name, own)
		must.Eq(t, s.limits(theirs.alloc, "sleep"), own, must.Sprint(c.name))
		must.Eq(t, c.hard, own[hard], must.Sprint(c.name))
		must.Eq(t, c.soft, own[soft], must.Sprint(c.name))
		weights[own[weight]] = true
	}
	must.Eq(t, len(cases), len(weights), must.Sprintf("CPU weights: %v", slices.Collect(maps.Keys(weights))))
}

// twin submits a job of raw_exec with the same resources as a job of ours.
func (s *site) twin(j jobHCL) *run {
	s.t.Helper()
	name, block := j.name+"-raw", "cpu    = 50\n        memory = 32"
	hcl := sleepJob(name, "")
	must.StrContains(s.t, hcl, block)
	alloc, err := s.Run(within(s.t), strings.Replace(hcl, block, j.resources+"\n memory = 300", 1))
	must.NoError(s.t, err)
	return &run{s: s, job: name, alloc: alloc}
}

// pidsIn returns the processes of a cgroup; one that is gone has none.
func pidsIn(t *testing.T, dir string) []int {
	t.Helper()
	inside, err := proc.InCgroup(dir)
	must.NoError(t, err)
	pids := make([]int, 0, len(inside))
	for _, p := range inside {
		pids = append(pids, p.PID)
	}
	return pids
}

// steady is a run of ten minutes.
const steady = `STANDIN_PACE = "500ms"`

// A solver that fills its memory is ended by the kernel, whoever watches then, and
// its task says so. It had all of memory_max; the task beside it notices nothing.
func TestDriver_OutOfMemoryIsTold(t *testing.T) {
	t.Parallel()
	requireCgroups(t)
	s := newSite(t, "")
	s.oversubscribe()
	beside := s.start(jobHCL{name: "beside", folder: s.deck("beside", "solid_bar_impact"), config: "ncpu = 1", env: steady})
	pid := beside.pidFile().PID
	for _, c := range []struct {
		name string
		down func()     // before the memory is full
		up   func(*run) // after it
	}{
		{"while the plugin watches", func() {}, func(*run) {}},
		{"while the plugin is another", s.killPlugin, func(*run) {}},
		{"while plugin and client are dead", s.killBoth, func(r *run) {
			must.Greater(t, 300<<20, r.waitExit().Rusage.MaxRSSBytes, must.Sprint("it may have more than resources.memory"))
			start(t, s.Agent)
		}},
	} {
		t.Log(c.name) // no subtest: what the site says fails the test that it is of
		name := strings.ReplaceAll(c.name, " ", "-")
		// Six seconds to freeze it in.
		r := s.submit(jobHCL{
			name: name, folder: s.deck(name, "solid_bar_impact"), config: "ncpu = 1",
			env: "STANDIN_PACE = \"200ms\"\nSTANDIN_FAULT = \"oom=30\"", resources: "cpu = 100\n memory_max = 400",
		})
		r.waitLaunch()
		goOn := r.freeze()
		r.wait(api.AllocClientStatusRunning, cluster.TaskState("lsdyna", "running"))
		c.down()
		must.Len(t, 1, r.solvers(), must.Sprint("the solver was to wait"))
		goOn()
		c.up(r)
		r.endedOutOfMemory()
	}
	beside.recovered()
	must.Eq(t, pid, beside.pidFile().PID)
	must.Zero(t, beside.wait(api.AllocClientStatusRunning).TaskStates["lsdyna"].Restarts)
	beside.progresses()
}

// waitLaunch waits until there is a solver, or what is about to become it.
func (r *run) waitLaunch() {
	r.s.t.Helper()
	must.NoError(r.s.t, cluster.Poll(within(r.s.t), "the launch of "+r.job, func() (bool, string, error) {
		paths, err := filepath.Glob(filepath.Join(r.s.StateDir(), "tasks", r.alloc, "lsdyna", "*", "pid"))
		return len(paths) > 0 && len(r.solvers()) > 0, "", err
	}))
}

// waitExit waits for the supervisor's record of the solver's end, which Nomad has
// the driver remove as soon as it knows of it.
func (r *run) waitExit() (exit supervisor.ExitRecord) {
	r.s.t.Helper()
	record := filepath.Dir(r.pidPath())
	must.NoError(r.s.t, cluster.Poll(within(r.s.t), "the end of "+r.job, func() (bool, string, error) {
		var err error
		exit, err = supervisor.ReadExit(record)
		return err == nil, fmt.Sprint(err), nil
	}))
	return exit
}

// progresses waits until the solver has computed another cycle.
func (r *run) progresses() {
	r.s.t.Helper()
	// Written more often than a line of progress.
	status := filepath.Join(r.folder, "status.out")
	before := content(r.s.t, status)
	must.NoError(r.s.t, cluster.Poll(within(r.s.t), "progress of "+r.job, func() (bool, string, error) {
		now, err := os.ReadFile(status)
		return strings.TrimSpace(string(now)) != before, string(now), err
	}))
}

// endedOutOfMemory asserts what Nomad knows of such an end.
func (r *run) endedOutOfMemory() {
	r.s.t.Helper()
	alloc := r.wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", "Terminated: Exit Code: 137"),
		cluster.TaskEvent("lsdyna", "Driver: Ended by the kernel: out of memory (raise resources.memory"))
	code, signal, err := cluster.Exit(alloc, "lsdyna")
	must.NoError(r.s.t, err)
	must.Eq(r.s.t, 137, code)
	must.Eq(r.s.t, 9, signal)
	events := alloc.TaskStates["lsdyna"].Events
	i := slices.IndexFunc(events, func(e *api.TaskEvent) bool { return e.Type == api.TaskTerminated })
	must.Eq(r.s.t, "true", events[i].Details["oom_killed"])
	must.StrContains(r.s.t, events[i].DisplayMessage, "out of memory")
}
