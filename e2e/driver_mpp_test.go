// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// newMPPSite is a site whose solvers "mpp" and "hybrid" run under the machine's
// mpirun.
func newMPPSite(t *testing.T) *site {
	t.Helper()
	mpirun, err := exec.LookPath("mpirun")
	if err != nil {
		t.Skip("needs mpirun (Debian: openmpi-bin)")
	}
	twoCores(t)
	bin := t.TempDir()
	for _, dir := range []string{bin, filepath.Dir(bin)} {
		must.NoError(t, os.Chmod(dir, 0o755))
	}
	hybrid := filepath.Join(bin, "standin_hyb_d_R14") // the stand-in solver goes by its name
	must.NoError(t, os.Symlink(binary(t, "lsdyna-standin"), hybrid))
	return newSite(t, fmt.Sprintf(`
    solver "mpp" {
      path     = %q
      parallel = "mpp"
      mpi      = "openmpi"
      mpirun   = %q
    }
    solver "hybrid" {
      path     = %q
      parallel = "hybrid"
      mpi      = "openmpi"
      mpirun   = %q
    }`, binary(t, "lsdyna-standin"), mpirun, hybrid, mpirun))
}

// ranks returns the live ranks of a run.
func (r *run) ranks() []int {
	r.s.t.Helper()
	r.s.solver = binary(r.s.t, "lsdyna-standin")
	var pids []int
	for _, p := range r.solvers() {
		pids = append(pids, p.PID)
	}
	return pids
}

func TestDriver_MPPRanksSitOnTheirOwnCores(t *testing.T) {
	t.Parallel()
	s := newMPPSite(t)
	r := s.submit(jobHCL{name: "ranks", solver: "mpp", folder: s.deck("ranks", "solid_bar_impact"), config: "ncpu = 2\nmemory = \"20m\""})
	r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
	var seen cpuset.Set
	for rank := range 2 {
		data, err := os.ReadFile(filepath.Join(r.folder, fmt.Sprintf("standin-affinity.%04d", rank)))
		must.NoError(t, err)
		first, _, _ := strings.Cut(string(data), "\n")
		_, list, _ := strings.Cut(first, "cpus=")
		own, err := cpuset.Parse(strings.TrimSpace(list))
		must.NoError(t, err)
		must.Eq(t, 1, own.Len(), must.Sprint(first))
		must.False(t, seen.Overlaps(own), must.Sprint(first))
		seen = seen.Union(own)
	}
	must.Eq(t, cpuset.Of(0, 1), seen)
	must.Len(t, 0, r.ranks())
}

func TestDriver_MPPLeavesNoRankBehind(t *testing.T) {
	t.Parallel()
	s := newMPPSite(t)
	start := func(name, env string) *run {
		r := s.start(jobHCL{name: name, solver: "mpp", folder: s.deck(name, "solid_bar_impact"), config: "ncpu = 2\nmemory = \"20m\"", env: env})
		must.NoError(t, cluster.Poll(within(t), "two ranks that compute", func() (bool, string, error) {
			data, _ := os.ReadFile(filepath.Join(r.folder, "mes0000"))
			return len(r.ranks()) == 2 && strings.Contains(string(data), " dt "), fmt.Sprint(r.ranks()), nil
		}))
		return r
	}
	t.Run("a killed rank", func(t *testing.T) {
		r := start("rank", slow)
		must.NoError(t, unix.Kill(r.ranks()[1], unix.SIGKILL))
		r.wait(api.AllocClientStatusFailed)
		must.Len(t, 0, r.ranks())
	})
	t.Run("a killed mpirun", func(t *testing.T) {
		r := start("mpirun", slow)
		must.NoError(t, unix.Kill(r.pidFile().PID, unix.SIGKILL))
		r.wait(api.AllocClientStatusFailed)
		must.Len(t, 0, r.ranks())
	})
	t.Run("an error on one rank", func(t *testing.T) {
		r := s.submit(jobHCL{
			name: "error", solver: "mpp", folder: s.deck("error", "solid_bar_impact"), config: "ncpu = 2\nmemory = \"20m\"",
			env: `STANDIN_FAULT = "error=50,rank=1"`,
		})
		r.wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", "*** Error 40500"))
		must.Len(t, 0, r.ranks())
	})
	t.Run("a stop with dump", func(t *testing.T) {
		r := start("dump", slow+"\nSTANDIN_POLL = \"5\"")
		must.NoError(t, s.StopJob(within(t), "dump", false))
		r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
		must.Len(t, 0, r.ranks())
	})
}

// On one NUMA node a hybrid run is one rank whose threads share the run's cores.
func TestDriver_HybridThreadsShareTheirRanksCores(t *testing.T) {
	t.Parallel()
	s := newMPPSite(t)
	const config = "ncpu = 2\nmemory = \"20m\""
	r := s.submit(jobHCL{name: "hybrid", solver: "hybrid", folder: s.deck("hybrid", "solid_bar_impact"), config: config})
	r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
	files, err := filepath.Glob(filepath.Join(r.folder, "standin-affinity.*"))
	must.NoError(t, err)
	workers, union := map[string]bool{}, cpuset.Set{}
	for _, path := range files {
		data, err := os.ReadFile(path)
		must.NoError(t, err)
		own := cpuset.Set{}
		for line := range strings.Lines(string(data)) {
			_, list, _ := strings.Cut(line, "cpus=")
			on, err := cpuset.Parse(strings.TrimSpace(list))
			must.NoError(t, err)
			must.True(t, own.IsEmpty() || own == on, must.Sprintf("threads of one rank sit apart:\n%s", data))
			own = on
			if _, name, ok := strings.Cut(line, "thread=worker"); ok {
				workers[path+strings.Fields(name)[0]] = true
			}
		}
		must.False(t, union.Overlaps(own), must.Sprint("ranks share cores"))
		union = union.Union(own)
	}
	must.Eq(t, cpuset.Of(0, 1), union)
	must.MapLen(t, 2, workers)
	must.Len(t, 0, r.ranks())

	stopped := s.start(jobHCL{name: "stopped", solver: "hybrid", folder: s.deck("stopped", "solid_bar_impact"), config: config, env: slow + "\nSTANDIN_POLL = \"5\""})
	s.waitCycles(stopped)
	must.NoError(t, s.StopJob(within(t), stopped.job, false))
	stopped.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
	must.Len(t, 0, stopped.ranks())
}
