// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// dumps lists the dumps in the run folder.
func (r *run) dumps() []string {
	r.s.t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.folder, "d3dump*"))
	must.NoError(r.s.t, err)
	names := []string{}
	for _, path := range paths {
		names = append(names, filepath.Base(path))
	}
	return names
}

// checkpoints are those that the run's record knows, the oldest first.
func (r *run) checkpoints() (names []string) {
	r.s.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.folder, rundir.RecordFile))
	must.NoError(r.s.t, err)
	var record rundir.Record
	must.NoError(r.s.t, json.Unmarshal(data, &record))
	for _, d := range record.Asked {
		must.True(r.s.t, d.Checkpoint)
		names = append(names, d.File)
	}
	return names
}

// waitCheckpoint waits until the run has written more than so many checkpoints, and kept
// two.
func (r *run) waitCheckpoint(number int) (newest string) {
	r.s.t.Helper()
	must.NoError(r.s.t, cluster.Poll(within(r.s.t), "checkpoints", func() (bool, string, error) {
		known := r.checkpoints()
		if len(known) < 2 {
			return false, fmt.Sprint(known), nil
		}
		newest = known[len(known)-1]
		return len(known) == 2 && newest > fmt.Sprintf("d3dump%02d", number), fmt.Sprint(known), nil
	}))
	return newest
}

// waitPruned waits until the older checkpoints are removed: two stay, and one may just be
// written.
func (r *run) waitPruned() {
	r.s.t.Helper()
	must.NoError(r.s.t, cluster.Poll(within(r.s.t), "removal of older checkpoints", func() (bool, string, error) {
		dumps := r.dumps()
		return len(dumps) <= 3, fmt.Sprint(dumps), nil
	}))
}

// number is that of a dump.
func (r *run) number(dump string) int {
	r.s.t.Helper()
	n, err := strconv.Atoi(strings.TrimPrefix(dump, "d3dump"))
	must.NoError(r.s.t, err)
	return n
}

// A run that is killed between two checkpoints goes on from the newest and ends with the
// very results of one that nobody disturbed. Plugin and client may come and go meanwhile.
func TestDriver_CheckpointsBoundTheLoss(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	whole := s.submit(jobHCL{name: "whole", folder: s.deck("whole", "solid_bar_impact"), config: "ncpu = 1"})
	whole.wait(api.AllocClientStatusComplete)
	for name, disturb := range map[string]func(){
		"solver":            func() {},
		"plugin-and-solver": s.killPlugin,
		"all":               func() { s.killBoth(); start(t, s.Agent) },
	} {
		t.Run(name, func(t *testing.T) {
			hcl := jobHCL{name: name, folder: s.deck(name, "solid_bar_impact"), config: "ncpu = 1\ncheckpoint = \"2s\"", env: "STANDIN_PACE = \"200ms\""}
			r := s.start(hcl)
			r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Checkpoint: dump d3dump01 written at t = "))
			r.waitCheckpoint(2)
			r.waitPruned()
			disturb()
			r.recovered()
			known := r.waitCheckpoint(3)
			must.NoError(t, unix.Kill(r.pidFile().PID, unix.SIGKILL))
			killed := r.wait(api.AllocClientStatusFailed)
			// On a busy machine the solver is ahead of the record.
			newest := slices.Max(r.dumps())
			must.GreaterEq(t, known, newest)
			told := strings.Join(cluster.Events(killed, "lsdyna"), "\n")
			most := len(strconv.Itoa(r.number(newest))) + strings.Count(told, "No checkpoint came")
			must.Between(t, 1, strings.Count(told, ": Checkpoint: dump"), most, must.Sprint("the first, the tenth, and the next after one that failed:\n", told))
			r.waitPruned()

			hcl.env = ""
			next := r.runAgain(hcl.String())
			ended := next.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
			told = strings.Join(cluster.Events(ended, "lsdyna"), "\n")
			// Of the newest the solver may have written only a part when it was killed.
			must.True(t, strings.Contains(told, "Restarting from "+newest) || strings.Contains(told, "Restarting from "+known), must.Sprint(known, newest, told))
			must.Eq(t, whole.results(), next.results())
		})
	}
}

// What is lost with the machine is told.
func TestDriver_AgeOfTheNewestDumpIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	r := s.start(jobHCL{name: "aging", folder: s.deck("aging", "solid_bar_impact"), config: "ncpu = 1\ncheckpoint = \"1h\"", env: steady})
	s.waitCycles(r)
	must.StrContains(t, s.prints("status"), "no dump yet; a checkpoint every 1h00m")
	r.sends("SIGUSR1", "Switch sw3, dump d3dump01 written at t = ")
	must.StrContains(t, s.prints("status"), "newest dump d3dump01 of t = ")
	printed, ok := s.plugin("status", "-json")
	must.True(t, ok)
	var status struct {
		Tasks []struct {
			Checkpoint float64 `json:"checkpoint_seconds"`
			Age        float64 `json:"restart_file_age_seconds"`
		}
	}
	must.NoError(t, json.Unmarshal([]byte(printed), &status))
	must.Len(t, 1, status.Tasks)
	must.Eq(t, 3600, status.Tasks[0].Checkpoint)
	must.Less(t, 600, status.Tasks[0].Age)
	must.NoError(t, s.StopJob(within(t), r.job, false))
}

// LSF's manual says that LS-DYNA leaves d3kil. Each switch is to have its effect once, and
// the next one its own, also where the plugin was killed between the sending and the effect.
func TestDriver_SolverThatLeavesTheSwitch(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	hcl := jobHCL{
		name: "keeping", folder: s.deck("keeping", "solid_bar_impact"), config: "ncpu = 1",
		env: "STANDIN_PACE = \"200ms\"\nSTANDIN_POLL = \"8\"\nSTANDIN_FAULT = \"keep_d3kil\"",
	}
	r := s.start(hcl)
	s.waitCycles(r)
	for i := range 3 {
		r.sends("SIGUSR1", fmt.Sprintf("Switch sw3, dump d3dump%02d written at t = ", i+1))
		r.sends("SIGUSR2", "Switch sw4: plot state written at t = ")
	}
	must.Eq(t, []string{"d3dump01", "d3dump02", "d3dump03"}, r.dumps())

	for i, disturb := range []func(){s.killPlugin, func() { s.killBoth(); start(t, s.Agent) }} {
		goOn := r.freeze()
		must.NoError(t, s.API.Allocations().Signal(&api.Allocation{ID: r.alloc}, nil, "lsdyna", "SIGUSR1"))
		r.waitSwitch()
		disturb()
		r.recovered()
		goOn()
		r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", fmt.Sprintf("Switch sw3, dump d3dump%02d written at t = ", i+4)))
		must.Len(t, i+4, r.dumps(), must.Sprint(r.dumps()))
		r.sends("SIGUSR2", "Switch sw4: plot state written at t = ")
		must.Len(t, i+4, r.dumps(), must.Sprint(r.dumps()))
	}
	must.FileNotExists(t, filepath.Join(r.folder, "d3kil"))
	must.NoError(t, s.StopJob(within(t), hcl.name, false))
	r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Stopping with sw1, dump d3dump06 written"))
}

// Of two signals at once both results are told, also where the plugin was killed meanwhile.
// Switches go by their names, too.
func TestDriver_TwoSignalsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	r := s.start(jobHCL{name: "double", folder: s.deck("double", "solid_bar_impact"), config: "ncpu = 1", env: "STANDIN_PACE = \"100ms\"\nSTANDIN_POLL = \"2\""})
	s.waitCycles(r)
	signal := func(names ...string) {
		for _, name := range names {
			must.NoError(t, s.API.Allocations().Signal(&api.Allocation{ID: r.alloc}, nil, "lsdyna", name))
		}
	}
	signal("SIGUSR1", "SIGUSR2")
	r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Switch sw3, dump d3dump01 written at t = "),
		cluster.TaskEvent("lsdyna", "Switch sw4: plot state written at t = "))

	goOn := r.freeze()
	signal("SIGUSR1", "swn")
	s.killPlugin()
	r.recovered()
	goOn()
	r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Switch sw3, dump d3dump02 written at t = "),
		cluster.TaskEvent("lsdyna", "Switch swn: the solver took it"))
	must.Eq(t, []string{"d3dump01", "d3dump02"}, r.dumps())
	must.NoError(t, s.StopJob(within(t), r.job, false))
}

// Under a real launcher a checkpoint has a file of each rank. The newest two stay with all
// of theirs, and a run that lost a rank goes on from the newest to the very results of one
// that nobody disturbed.
func TestDriver_CheckpointsOfRealRanks(t *testing.T) {
	t.Parallel()
	twoCores(t)
	for _, mpi := range []string{"openmpi", "mpich"} {
		t.Run(mpi, func(t *testing.T) {
			mpirun, err := exec.LookPath("mpirun." + mpi)
			if err != nil {
				t.Skip("needs mpirun." + mpi)
			}
			s := newSite(t, fmt.Sprintf("solver \"mpp\" {\n path = %q\n parallel = \"mpp\"\n mpi = %q\n mpirun = %q\n }", binary(t, "lsdyna-standin"), mpi, mpirun))
			whole := s.submit(jobHCL{name: "whole", solver: "mpp", folder: s.deck("whole", "solid_bar_impact"), config: "ncpu = 2\nmemory = \"20m\""})
			whole.wait(api.AllocClientStatusComplete)
			hcl := jobHCL{name: "ranks", solver: "mpp", folder: s.deck("ranks", "solid_bar_impact"), config: "ncpu = 2\nmemory = \"20m\"\ncheckpoint = \"2s\"", env: "STANDIN_PACE = \"200ms\"\nSTANDIN_POLL = \"5\""}
			r := s.start(hcl)
			newest := r.waitCheckpoint(3)
			must.NoError(t, cluster.Poll(within(t), "files of both ranks of two checkpoints", func() (bool, string, error) {
				there := r.dumps()
				return slices.Contains(there, newest+".0000") && slices.Contains(there, newest+".0001") && !slices.Contains(there, "d3dump01.0000") && len(there)%2 == 0, fmt.Sprint(there), nil
			}))
			must.LessEq(t, 6, len(r.dumps()), must.Sprint("two stay, and one may just be written"))
			must.NoError(t, unix.Kill(r.ranks()[0], unix.SIGKILL))
			r.wait(api.AllocClientStatusFailed)
			hcl.env = ""
			next := r.runAgain(hcl.String())
			next.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Restarting from d3dump"), cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
			must.Eq(t, whole.results(), next.results())
		})
	}
}
