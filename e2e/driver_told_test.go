// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// plugin runs one of the operators' commands where the agent is, whose cgroups and
// mounts are its own, and returns what it printed and whether it succeeded.
func (s *site) plugin(args ...string) (printed string, ok bool) {
	s.t.Helper()
	if args[0] != "inspect" {
		args = append(args, "-state-dir", s.StateDir())
	}
	out, err := s.Inside(within(s.t), s.PluginPath(), args...).CombinedOutput()
	return string(out), err == nil
}

// prints is plugin for a command that succeeds; lines that were wrapped are one again.
func (s *site) prints(args ...string) string {
	s.t.Helper()
	printed, ok := s.plugin(args...)
	must.True(s.t, ok, must.Sprint(printed))
	return strings.Join(strings.Fields(printed), " ")
}

// taskReport is what status -json prints of a task, as far as these tests ask.
type taskReport struct {
	AllocID string   `json:"alloc_id"`
	State   string   `json:"state"`
	Notes   []string `json:"notes"`

	Recoveries int              `json:"recoveries"`
	LastRuns   []output.PastRun `json:"last_runs"`
}

// report is what status -json tells of the run that lives.
func (r *run) report() taskReport {
	r.s.t.Helper()
	printed, ok := r.s.plugin("status", "-json")
	must.True(r.s.t, ok, must.Sprint(printed))
	var status struct{ Tasks []taskReport }
	must.NoError(r.s.t, json.Unmarshal([]byte(printed), &status))
	for _, task := range status.Tasks {
		if task.AllocID == r.alloc && task.State != "ended" {
			return task
		}
	}
	r.s.t.Fatalf("no live task of %s in %s", r.alloc, printed)
	return taskReport{}
}

// A run folder is removed under its solver: everything that an operator looks at says
// so, and the way out is one.
func TestDriver_RemovedRunFolderIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	hcl := jobHCL{name: "removed", folder: s.deck("removed", "solid_bar_impact"), config: "ncpu = 1", env: steady}
	r := s.start(hcl)
	s.waitCycles(r)
	pid := r.pidFile().PID
	must.NoError(t, cluster.Poll(within(t), "removal, whatever is still written there", func() (bool, string, error) {
		err := os.RemoveAll(r.folder)
		return err == nil, fmt.Sprint(err), nil
	}))

	told := fmt.Sprintf("un folder %s was removed under its solver: process %d still works in it", r.folder, pid)
	r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", told), cluster.TaskEvent("lsdyna", "Stop the job, and start it again where the deck is"))
	must.StrContains(t, s.prints("status"), told)
	notes := strings.Join(r.report().Notes, "\n")
	must.StrContains(t, notes, told)
	must.StrContains(t, notes, "what it writes is lost")
	printed, ok := s.plugin("inspect", r.folder)
	must.False(t, ok)
	must.StrContains(t, printed, "no such file or directory")
	node, err := s.Node()
	must.NoError(t, err)
	must.True(t, node.Drivers[cluster.DriverName].Healthy) // for other runs

	must.NoError(t, s.StopJob(within(t), hcl.name, false))
	last := r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "No sense switch is sent: "))
	must.True(t, containsAll(cluster.Events(last, "lsdyna"),
		"nknown: the run folder "+r.folder+" was removed under its solver, and with it the outputs"))
	all, err := proc.WithExe(s.solver)
	must.NoError(t, err)
	must.Len(t, 0, all)

	s.deck("removed", "solid_bar_impact") // the way out
	hcl.env = ""
	next := r.runAgain(hcl.String())
	next.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
}

// A run of twelve signals and three restarts: Nomad keeps ten of its events, and
// everything that it was is to be read all the same.
func TestDriver_HistoryOutlivesNomadsEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	hcl := jobHCL{
		name: "eventful", folder: s.deck("eventful", "solid_bar_impact"), config: "ncpu = 1",
		env: "STANDIN_PACE = \"250ms\"\nSTANDIN_POLL = \"1\"",
	}
	alloc, err := s.Run(within(t), strings.Replace(hcl.String(), `attempts = 0
      mode     = "fail"`, `attempts = 3
      interval = "30m"
      delay    = "0s"
      mode     = "fail"`, 1))
	must.NoError(t, err)
	r := &run{s: s, job: hcl.name, folder: hcl.folder, alloc: alloc}
	dumps := 0
	for life := range 4 {
		r.wait(api.AllocClientStatusRunning, cluster.Restarts("lsdyna", uint64(life)), cluster.TaskState("lsdyna", "running"))
		if life > 0 {
			r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", fmt.Sprintf("Restarting from d3dump%02d", dumps)))
		}
		s.waitCycles(r)
		if life == 3 {
			break
		}
		for range 2 {
			dumps++
			r.sends("SIGUSR1", fmt.Sprintf("Switch sw3, dump d3dump%02d written at t = ", dumps))
			r.sends("SIGUSR2", "Switch sw4: plot state written at t = ")
		}
		must.NoError(t, unix.Kill(r.pidFile().PID, unix.SIGKILL))
	}
	must.Eq(t, 6, dumps)
	r.checkLives(r.report().LastRuns)
	text := s.prints("status")
	must.StrContains(t, text, "runs in its folder")
	must.StrContains(t, text, "starting from the deck; ended ")

	must.NoError(t, s.StopJob(within(t), hcl.name, false))
	r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Stopping with sw1, dump d3dump07 written"))
	must.NoError(t, s.API.System().GarbageCollect())
	must.NoError(t, cluster.Poll(within(t), "the allocation is collected", func() (bool, string, error) {
		_, err := os.Stat(s.AllocDir(r.alloc))
		return errors.Is(err, fs.ErrNotExist), fmt.Sprint(err), nil
	}))
	printed, ok := s.plugin("inspect", "-json", r.folder)
	must.True(t, ok, must.Sprint(printed))
	var report output.Report
	must.NoError(t, json.Unmarshal([]byte(printed), &report))
	r.checkLives(report.LastRuns)
	last := report.LastRuns[3]
	must.Eq(t, output.Stopped, last.Outcome)
	must.Eq(t, "d3dump07", last.Dump)
	must.StrContains(t, s.prints("inspect", r.folder), "newest dump d3dump07")
}

// sends sends a signal to the task, and waits until its event is there.
func (r *run) sends(signal, effect string) {
	r.s.t.Helper()
	before := r.tells(r.wait(api.AllocClientStatusRunning), effect)
	must.NoError(r.s.t, r.s.API.Allocations().Signal(&api.Allocation{ID: r.alloc}, nil, "lsdyna", signal))
	r.wait(api.AllocClientStatusRunning, func(alloc *api.Allocation) (bool, string) {
		return r.tells(alloc, effect) > before, "no new event with " + effect
	})
}

// tells returns when the newest event with the text was, in nanoseconds.
func (r *run) tells(alloc *api.Allocation, text string) (newest int64) {
	r.s.t.Helper()
	for _, e := range alloc.TaskStates["lsdyna"].Events {
		if strings.Contains(e.DisplayMessage, text) {
			newest = max(newest, e.Time)
		}
	}
	return newest
}

// checkLives checks what is told of the four runs: three that were killed after two
// dumps each, and the one that went on from the last.
func (r *run) checkLives(runs []output.PastRun) {
	t := r.s.t
	t.Helper()
	must.Len(t, 4, runs)
	for i, past := range runs {
		began := "starting from the deck"
		if i > 0 {
			began = fmt.Sprintf("restarting from d3dump%02d (t = ", 2*i)
		}
		must.StrHasPrefix(t, began, past.Began)
		must.StrHasPrefix(t, r.alloc+"/lsdyna/", past.Run)
		if i == 3 {
			break
		}
		must.NotNil(t, past.Ended)
		must.Eq(t, output.Killed, past.Outcome)
		must.Eq(t, 9, past.Signal)
		must.StrContains(t, past.Reason, "SIGKILL")
		must.Eq(t, fmt.Sprintf("d3dump%02d", 2*i+2), past.Dump)
		must.FileExists(t, filepath.Join(r.folder, past.Dump))
	}
}
