// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// disturbances are the ways in which the plugin, the client or both go away
// and come back, in the order in which the loop takes them.
var disturbances = []struct {
	name      string
	do        func(*site)
	newPlugin bool // without one there is nothing to recover, and nothing is said
}{
	{"kill -9 of the plugin", (*site).killPlugin, true},
	{"graceful restart of the client", func(s *site) { must.NoError(s.t, s.Restart(within(s.t))) }, true},
	{"kill -9 of the client", func(s *site) { must.NoError(s.t, s.Kill()); start(s.t, s.Agent) }, false},
	{"kill -9 of both", func(s *site) { s.killBoth(); start(s.t, s.Agent) }, true},
}

// killPlugin kills the plugin and waits until the client has another.
func (s *site) killPlugin() {
	s.t.Helper()
	dead, err := s.KillPlugin()
	must.NoError(s.t, err)
	must.NoError(s.t, cluster.Poll(within(s.t), "another plugin", func() (bool, string, error) {
		plugins, err := s.Plugins()
		for _, p := range plugins {
			if p.PID != dead && p.Alive() {
				return true, "", err
			}
		}
		return false, fmt.Sprint(plugins), err
	}))
}

// killBoth kills the client and the plugin; the client first, so that it starts
// no other.
func (s *site) killBoth() {
	s.t.Helper()
	must.NoError(s.t, s.Kill())
	_, err := s.KillPlugin()
	must.NoError(s.t, err)
}

// recovered waits until Nomad can reach the run through the driver again.
func (r *run) recovered() {
	r.s.t.Helper()
	alloc := r.wait(api.AllocClientStatusRunning, cluster.TaskState("lsdyna", "running"))
	must.NoError(r.s.t, cluster.Poll(within(r.s.t), "alloc exec", func() (bool, string, error) {
		code, err := r.s.API.Allocations().Exec(within(r.s.t), alloc, "lsdyna", false, []string{"/bin/true"},
			strings.NewReader(""), io.Discard, io.Discard, nil, nil)
		return err == nil && code == 0, fmt.Sprint(code, err), nil
	}))
}

// said waits for an event that is newer than the given time.
func (r *run) said(since time.Time, text string) {
	r.s.t.Helper()
	r.wait(api.AllocClientStatusRunning, func(alloc *api.Allocation) (bool, string) {
		state := alloc.TaskStates["lsdyna"]
		if state == nil {
			return false, "no task state"
		}
		for _, e := range state.Events {
			if time.Unix(0, e.Time).After(since) && strings.Contains(e.DisplayMessage, text) {
				return true, ""
			}
		}
		return false, cluster.DescribeAlloc(alloc)
	})
}

// recoveries is how often a new plugin has taken the run up, by its record.
func (r *run) recoveries() int {
	r.s.t.Helper()
	return (&state.Record{Dir: filepath.Dir(r.pidPath())}).ReadRecoveries().Count
}

// takenUp waits until a new plugin has taken the run up more often than before.
func (r *run) takenUp(before int) {
	r.s.t.Helper()
	must.NoError(r.s.t, cluster.Poll(within(r.s.t), "another recovery", func() (bool, string, error) {
		n := r.recoveries()
		return n > before, fmt.Sprint(n), nil
	}))
}

// lastCycle reads how far the run has got.
func (r *run) lastCycle() string {
	r.s.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.folder, "stdout"))
	must.NoError(r.s.t, err)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	for _, line := range slices.Backward(lines) {
		if strings.Contains(line, " dt ") {
			return line
		}
	}
	return ""
}

func TestDriver_SurvivesTwentyRestarts(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	// It outlasts the restarts on a slow machine, and looks for a switch as often as others.
	env := "STANDIN_PACE = \"500ms\"\nSTANDIN_POLL = \"5\""
	r := s.start(jobHCL{name: "survivor", folder: s.deck("survivor", "solid_bar_impact"), config: "ncpu = 1", env: env})
	pid, cores := r.pidFile().PID, r.checkCores()
	s.waitCycles(r)
	for i := range 20 {
		how := disturbances[i%len(disturbances)]
		t.Logf("%d: %s", i+1, how.name)
		before, began := r.recoveries(), time.Now()
		how.do(s)
		r.recovered()
		if how.newPlugin {
			r.takenUp(before)
			if n := r.recoveries(); n == 1 || n == 10 { // a client that is killed forgets what it has not told yet
				r.said(began, "Restored "+allocator.Name(cores)+" from the pid file")
			}
		}
		must.Eq(t, pid, r.pidFile().PID)
		must.Eq(t, cores, r.checkCores())
	}
	alloc := r.wait(api.AllocClientStatusRunning)
	must.Zero(t, alloc.TaskStates["lsdyna"].Restarts)
	// Nomad keeps ten events: how the run began is still among them, and of the recoveries
	// the first and the tenth.
	var restored int
	for _, e := range alloc.TaskStates["lsdyna"].Events {
		if strings.Contains(e.DisplayMessage, "Restored "+allocator.Name(cores)+" from the pid file") {
			restored++
		}
	}
	must.Eq(t, 2, restored, must.Sprint(cluster.DescribeAlloc(alloc)))
	must.Positive(t, r.tells(alloc, "Allocated "+allocator.Name(cores)), must.Sprint(cluster.DescribeAlloc(alloc)))
	report := r.report()
	must.Eq(t, r.recoveries(), report.Recoveries)
	must.GreaterEq(t, 15, report.Recoveries)
	must.StrContains(t, s.prints("status"), fmt.Sprintf("taken up %d times by a new plugin, last at ", report.Recoveries))
	before := r.lastCycle()
	must.NoError(t, cluster.Poll(within(t), "progress", func() (bool, string, error) {
		now := r.lastCycle()
		return now != before, now, nil
	}))
	must.NoError(t, s.StopJob(within(t), "survivor", false))
	r.wait(api.AllocClientStatusComplete)
	must.Len(t, 0, r.solvers())
}

// pidPath is where the run's pid file is.
func (r *run) pidPath() string {
	r.s.t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.s.StateDir(), "tasks", r.alloc, "lsdyna", "*"))
	must.NoError(r.s.t, err)
	must.Len(r.s.t, 1, paths)
	return filepath.Join(paths[0], "pid")
}

func TestDriver_RestoresCoresFromWhatIsLeft(t *testing.T) {
	t.Parallel()
	cores := twoCores(t)
	restoresCores(t, onTwoCores(t, cores), cores)
}

// restoresCores is for a site with these two cores and no tasks.
func restoresCores(t *testing.T, s *site, all cpuset.Set) {
	r := s.start(jobHCL{name: "cores", folder: s.deck("cores", "solid_bar_impact"), config: "ncpu = 1", env: `STANDIN_PACE = "100ms"`})
	rec, cores := r.pidFile(), r.checkCores()
	path := r.pidPath()
	other := all.Difference(cores)

	for _, c := range []struct {
		name, content string // of the pid file; "" removes it
		cores         cpuset.Set
		event         string
	}{
		{"pid file gone", "", cores, "from the driver state"},
		{"first line only", fmt.Sprintf("%d\n", rec.PID), cores, "from the driver state"},
		{"broken second line", fmt.Sprintf("%d\n{\"cores\":[0,", rec.PID), cores, "from the driver state"},
		{
			"the pid file wins over the driver state",
			fmt.Sprintf("%d\n{\"cores\":[%s],\"start_time\":%d,\"boot_id\":%q,\"supervisor_pid\":%d,\"supervisor_start_time\":%d}\n",
				rec.PID, other, rec.StartTime, rec.BootID, rec.SupervisorPID, rec.SupervisorStartTime),
			other, "from the pid file",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			s.killBoth()
			if c.content == "" {
				must.NoError(t, os.Remove(path))
			} else {
				must.NoError(t, os.WriteFile(path, []byte(c.content), 0o600))
			}
			start(t, s.Agent)
			r.said(began, fmt.Sprintf("Restored %s %s", allocator.Name(c.cores), c.event))
			r.recovered()
			must.NoError(t, cluster.Poll(within(t), "pid file and masks", func() (bool, string, error) {
				return cpuset.Of(r.pidFile().Cores...) == c.cores, "", nil
			}))
			s.waitMask(r, c.cores)
			must.Eq(t, rec.PID, r.pidFile().PID)
			must.Eq(t, c.cores, r.checkCores())
		})
	}

	t.Run("taken cores lead to others", func(t *testing.T) {
		second := s.start(jobHCL{name: "second", folder: s.deck("second", "solid_bar_impact"), config: "ncpu = 1", env: `STANDIN_PACE = "100ms"`})
		mine, theirs := r.checkCores(), second.checkCores()
		must.False(t, mine.Overlaps(theirs))
		s.killBoth()
		// Both records claim one core; the driver decides, and the kernel follows.
		stolen := second.pidFile()
		stolen.Cores = mine.Slice()
		content := fmt.Sprintf("%d\n{\"cores\":[%s],\"start_time\":%d,\"boot_id\":%q,\"supervisor_pid\":%d,\"supervisor_start_time\":%d}\n",
			stolen.PID, mine, stolen.StartTime, stolen.BootID, stolen.SupervisorPID, stolen.SupervisorStartTime)
		must.NoError(t, os.WriteFile(second.pidPath(), []byte(content), 0o600))
		start(t, s.Agent)
		must.NoError(t, cluster.Poll(within(t), "disjoint cores", func() (bool, string, error) {
			a, b := cpuset.Of(r.pidFile().Cores...), cpuset.Of(second.pidFile().Cores...)
			return !a.Overlaps(b) && a.Len() == 1 && b.Len() == 1, fmt.Sprint(a, b), nil
		}))
		a, b := r.checkCores(), second.checkCores()
		must.False(t, a.Overlaps(b))
		one, two := r.wait(api.AllocClientStatusRunning), second.wait(api.AllocClientStatusRunning)
		must.NoError(t, cluster.Poll(within(t), "an event of the move", func() (bool, string, error) {
			one, two = r.wait(api.AllocClientStatusRunning), second.wait(api.AllocClientStatusRunning)
			events := append(cluster.Events(one, "lsdyna"), cluster.Events(two, "lsdyna")...)
			return containsAll(events, "Moved from "+allocator.Name(mine)), strings.Join(events, "\n"), nil
		}))
	})
}

// waitMask waits until the solver's main thread is bound to the cores.
func (s *site) waitMask(r *run, cores cpuset.Set) {
	s.t.Helper()
	must.NoError(s.t, cluster.Poll(within(s.t), "affinity "+cores.String(), func() (bool, string, error) {
		var mask unix.CPUSet
		if err := unix.SchedGetaffinity(r.pidFile().PID, &mask); err != nil {
			return false, "", err
		}
		var on cpuset.Set
		for cpu := range 64 {
			if mask.IsSet(cpu) {
				on.Add(cpu)
			}
		}
		return on == cores, on.String(), nil
	}))
}

func TestDriver_KnowsHowARunEndedWhileNobodyWatched(t *testing.T) {
	t.Parallel()
	knowsEnds(t, newSite(t, ""))
}

// knowsEnds runs the bar's first 61 cycles, in which the agent is killed.
func knowsEnds(t *testing.T, s *site) {
	pace := `STANDIN_PACE = "100ms"`
	if inVM() { // where it takes longer to get there
		pace = `STANDIN_PACE = "800ms"`
	}
	for _, c := range []struct {
		name, env  string
		status     string
		code, sig  int
		event      string
		killSolver bool
	}{
		{name: "completed", env: pace, status: api.AllocClientStatusComplete, event: "ormal termination at the end time"},
		{name: "error", env: pace + "\nSTANDIN_FAULT = \"error=40,exit_code=0\"", status: api.AllocClientStatusFailed, code: 1, event: "*** Error 40500"},
		{name: "exit-code", env: pace + "\nSTANDIN_FAULT = \"vanish=40,exit_code=23\"", status: api.AllocClientStatusFailed, code: 23, event: "exit code 23"},
		{name: "signal", env: steady, status: api.AllocClientStatusFailed, code: 137, sig: 9, event: "SIGKILL", killSolver: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.start(jobHCL{name: c.name, folder: s.shortDeck(c.name), config: "ncpu = 1", env: c.env})
			pid := r.pidFile().PID
			s.killBoth()
			must.Len(t, 1, r.solvers(), must.Sprint("the agent was to be killed first"))
			if c.killSolver {
				must.NoError(t, unix.Kill(pid, unix.SIGKILL))
			}
			r.waitExit()
			start(t, s.Agent)
			alloc := r.wait(c.status, cluster.TaskEvent("lsdyna", c.event))
			code, sig, err := cluster.Exit(alloc, "lsdyna")
			must.NoError(t, err)
			must.Eq(t, c.code, code)
			must.Eq(t, c.sig, sig)
		})
	}
}

func TestDriver_NeverInventsAnExitStatus(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	r := s.start(jobHCL{name: "orphan", folder: s.deck("orphan", "solid_bar_impact"), config: "ncpu = 1", env: `STANDIN_PACE = "5ms"`})
	must.NoError(t, unix.Kill(r.pidFile().SupervisorPID, unix.SIGKILL))
	r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "supervisor was killed"))
	must.Len(t, 1, r.solvers())
	alloc := r.wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", "exit status unknown"))
	code, _, err := cluster.Exit(alloc, "lsdyna")
	must.NoError(t, err)
	must.Eq(t, -1, code)
	must.True(t, containsAll(cluster.Events(alloc, "lsdyna"), "ormal termination at the end time"))
	must.Len(t, 0, r.solvers())
}

func TestDriver_InPlaceRestartReadsNoStaleRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	hcl := jobHCL{name: "again", folder: s.deck("again", "solid_bar_impact"), config: "ncpu = 1", env: slow}
	alloc, err := s.Run(within(t), strings.Replace(hcl.String(), `attempts = 0
      mode     = "fail"`, `attempts = 5
      interval = "30m"
      delay    = "0s"
      mode     = "fail"`, 1))
	must.NoError(t, err)
	r := &run{s: s, job: hcl.name, folder: hcl.folder, alloc: alloc}
	r.wait(api.AllocClientStatusRunning, cluster.TaskState("lsdyna", "running"))
	first := r.pidFile().PID
	must.NoError(t, unix.Kill(first, unix.SIGKILL))
	r.wait(api.AllocClientStatusRunning, cluster.Restarts("lsdyna", 1), cluster.TaskState("lsdyna", "running"))
	must.NoError(t, cluster.Poll(within(t), "the next solver", func() (bool, string, error) {
		all := r.solvers()
		return len(all) == 1 && all[0].PID != first, fmt.Sprint(all), nil
	}))
	second := r.solvers()[0].PID
	s.killBoth()
	start(t, s.Agent)
	r.recovered()
	must.Eq(t, second, r.pidFile().PID)
	must.Len(t, 1, r.solvers())
	must.Eq(t, uint64(1), r.wait(api.AllocClientStatusRunning).TaskStates["lsdyna"].Restarts)
}

func TestDriver_PluginKilledInsideStartTask(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	for i := range 6 {
		name := fmt.Sprintf("start%d", i)
		hcl := jobHCL{name: name, folder: s.deck(name, "solid_bar_impact"), config: "ncpu = 1", env: slow}
		alloc, err := s.Run(within(t), hcl.String())
		must.NoError(t, err)
		r := &run{s: s, job: name, folder: hcl.folder, alloc: alloc}
		// The record's folder is the first trace of a start.
		must.NoError(t, cluster.Poll(within(t), "the start", func() (bool, string, error) {
			paths, err := filepath.Glob(filepath.Join(s.StateDir(), "tasks", alloc, "lsdyna", "*"))
			return len(paths) > 0, "", err
		}))
		s.killPlugin()
		final, err := s.WaitAlloc(context.WithoutCancel(within(t)), alloc, settled)
		must.NoError(t, err)
		// Whatever Nomad makes of it, there is one solver where the task runs and
		// none where it does not.
		want := 0
		if final.ClientStatus == api.AllocClientStatusRunning {
			want = 1
		}
		must.NoError(t, cluster.Poll(within(t), fmt.Sprintf("%d solvers", want), func() (bool, string, error) {
			all := r.solvers()
			return len(all) == want, fmt.Sprint(all), nil
		}))
		if want == 1 {
			r.checkCores()
		}
		must.NoError(t, s.StopJob(within(t), name, false))
		must.NoError(t, cluster.Poll(within(t), "no solver", func() (bool, string, error) {
			return len(r.solvers()) == 0, "", nil
		}))
	}
}

// settled is an allocation that runs or is over.
func settled(alloc *api.Allocation) (bool, string) {
	state := alloc.TaskStates["lsdyna"]
	if state == nil {
		return false, "no task state"
	}
	return state.State == "running" || state.State == "dead", state.State
}

// An agent that is killed while it launches a plugin forgets that plugin, which
// lives on with state_dir in its hands.
func TestDriver_TakesOverFromAForgottenPlugin(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	r := s.start(jobHCL{name: "forgotten", folder: s.deck("forgotten", "solid_bar_impact"), config: "ncpu = 1", env: `STANDIN_PACE = "100ms"`})
	pid, cores := r.pidFile().PID, r.checkCores()
	for range 4 {
		s.killPlugin()
		must.NoError(t, s.Kill())
		start(t, s.Agent)
		r.recovered()
		must.Eq(t, pid, r.pidFile().PID)
		must.Eq(t, cores, r.checkCores())
		must.Zero(t, r.wait(api.AllocClientStatusRunning).TaskStates["lsdyna"].Restarts)
		must.NoError(t, cluster.Poll(within(t), "one plugin", func() (bool, string, error) {
			all, err := s.Plugins()
			return len(all) == 1, fmt.Sprint(all), err
		}))
	}
}

// The plugin's log is a pipe to the client that launched it. When that client is
// killed, the next one reattaches, and the plugin must not die of its next log line:
// a StopTask that fails in this way is not repeated on another plugin.
func TestDriver_PluginOutlivesItsClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	r := s.start(jobHCL{name: "outlives", folder: s.deck("outlives", "solid_bar_impact"), config: "ncpu = 1", env: slow + "\nSTANDIN_POLL = \"5\""})
	s.waitCycles(r)
	before, err := s.Plugins()
	must.NoError(t, err)
	must.NoError(t, s.Kill())
	start(t, s.Agent)
	r.recovered()
	must.NoError(t, s.StopJob(within(t), "outlives", false))
	r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
	must.Len(t, 0, r.solvers())
	after, err := s.Plugins()
	must.NoError(t, err)
	must.Len(t, 1, before)
	must.Len(t, 1, after)
	must.Eq(t, before[0].PID, after[0].PID)
	log, err := os.ReadFile(filepath.Join(s.StateDir(), "plugin.log"))
	must.NoError(t, err)
	must.StrContains(t, string(log), "Stopping with sw1")
}
