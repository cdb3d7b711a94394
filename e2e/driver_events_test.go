// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// toldBy returns the events of a task, in Nomad's order.
func toldBy(alloc *api.Allocation) (events []string) {
	for _, e := range alloc.TaskStates["lsdyna"].Events {
		events = append(events, e.Type+": "+e.DisplayMessage)
	}
	return events
}

// One event says on which cores a run is, how it uses them, as whom and where; and what led
// to a run's end comes before its end: Nomad orders by arrival.
func TestDriver_EventsOfARunAreInOrder(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	for i := range 5 {
		job := fmt.Sprintf("order-%d", i)
		r := s.start(jobHCL{name: job, folder: s.deck(job, "solid_bar_impact"), config: "ncpu = 1", env: slow + "\nSTANDIN_POLL = \"5\""})
		s.waitCycles(r)
		cores := r.checkCores()
		must.NoError(t, s.StopJob(within(t), job, false))
		alloc := r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "topped by a sense switch in d3kil"))
		var told []string
		terminated := false
		for _, e := range alloc.TaskStates["lsdyna"].Events {
			told = append(told, e.Type+": "+e.DisplayMessage)
			terminated = terminated || e.Type == api.TaskTerminated
			must.False(t, terminated && e.Type == api.TaskDriverMessage, must.Sprint(strings.Join(told, "\n")))
		}
		must.True(t, terminated, must.Sprint(strings.Join(told, "\n")))
		all := strings.Join(told, "\n")
		must.StrContains(t, all, "Allocated "+allocator.Name(cores)+" (1 core")
		must.StrContains(t, all, ": 1 thread, as nobody, in "+r.folder)
		must.StrContains(t, all, "Solver took sw1")
	}
}

// What no waiting mends fails before anything runs, with what to do, and is not tried again.
func TestDriver_StartsThatCannotBeAreToldBefore(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	ended := s.start(jobHCL{name: "first", folder: s.deck("first", "solid_bar_impact"), config: "ncpu = 1", env: slow + "\nSTANDIN_POLL = \"5\""})
	s.waitCycles(ended)
	must.NoError(t, s.StopJob(within(t), "first", false))
	ended.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
	for name, c := range map[string]struct {
		config, folder, want string
	}{
		"a dump that is not there": {"ncpu = 1\nrestart = \"d3dump09\"", ended.folder, "there is no d3dump09 in the run folder " + ended.folder + "; dumps there, the newest first: d3dump01. Name one of them"},
		"no dumps at all":          {"ncpu = 1\nrestart = \"d3dump01\"", s.deck("empty", "solid_bar_impact"), "there are no dumps in "},
		"no folder":                {"ncpu = 1", filepath.Join(filepath.Dir(ended.folder), "nowhere"), "make it on this node, for user nobody"},
		"threads beside ncpu":      {"ncpu = 2\nthreads = 3", ended.folder, "1 rank × 3 threads = 3 cores, and ncpu = 2: leave one of ncpu, ranks and threads out"},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.submit(jobHCL{name: strings.ReplaceAll(name, " ", "-"), folder: c.folder, config: c.config})
			alloc := r.wait(api.AllocClientStatusFailed)
			must.StrContains(t, strings.Join(toldBy(alloc), "\n"), c.want)
			must.Zero(t, alloc.TaskStates["lsdyna"].Restarts)
		})
	}
}

// A hybrid run has the ranks and threads that its job says.
func TestDriver_RanksAndThreadsAsTheJobSays(t *testing.T) {
	t.Parallel()
	s := newMPPSite(t)
	for name, c := range map[string]struct {
		config, shape string
		ranks         int
	}{
		"by ranks":   {"ncpu = 2\nranks = 2", ": 2 ranks, as nobody, in ", 2},
		"by threads": {"ncpu = 2\nthreads = 2", ": 1 rank × 2 threads, as nobody, in ", 1},
		"by both":    {"ranks = 2\nthreads = 1", ": 2 ranks, as nobody, in ", 2},
	} {
		t.Run(name, func(t *testing.T) {
			job := strings.ReplaceAll(name, " ", "-")
			r := s.start(jobHCL{name: job, solver: "hybrid", folder: s.deck(job, "solid_bar_impact"), config: c.config, env: slow + "\nSTANDIN_POLL = \"5\""})
			s.waitCycles(r)
			r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", c.shape+r.folder))
			must.Len(t, c.ranks, r.ranks())
			must.StrContains(t, s.prints("status"), c.shape[2:])
			must.NoError(t, s.StopJob(within(t), job, false))
			r.wait(api.AllocClientStatusComplete)
		})
	}
}
