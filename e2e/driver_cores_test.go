// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// checkCores asserts that the kernel binds every thread of every process of the
// run to exactly the cores in the pid file, and returns them.
func (r *run) checkCores() cpuset.Set {
	r.s.t.Helper()
	rec := r.pidFile()
	want := cpuset.Of(rec.Cores...)
	solvers := r.solvers()
	must.Len(r.s.t, 1, solvers)
	must.Eq(r.s.t, rec.PID, solvers[0].PID)
	threads, err := proc.ThreadCPUs(rec.PID)
	must.NoError(r.s.t, err)
	must.Positive(r.s.t, len(threads))
	for tid, on := range threads {
		must.Eq(r.s.t, want.String(), on, must.Sprintf("thread %d of %d", tid, rec.PID))
	}
	return want
}

// firstMask is the affinity that the stand-in printed as its first act.
func (r *run) firstMask() string {
	r.s.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.folder, "standin-affinity.0000"))
	must.NoError(r.s.t, err)
	m := regexp.MustCompile(`[0-9]+(?:[-,][0-9]+)*\s*$`).FindString(strings.SplitN(string(data), "\n", 2)[0])
	must.NotEq(r.s.t, "", m, must.Sprintf("affinity file: %q", data))
	return strings.TrimSpace(m)
}

// twoCores returns the first CPUs of two physical cores, and skips the test where
// there are no two: on a machine with SMT, CPUs 0 and 1 may be one core.
func twoCores(t *testing.T) cpuset.Set {
	t.Helper()
	var mask unix.CPUSet
	must.NoError(t, unix.SchedGetaffinity(0, &mask))
	var cores, seen cpuset.Set
	for cpu := range cpuset.MaxCPUs {
		if !mask.IsSet(cpu) || seen.Contains(cpu) {
			continue
		}
		siblings, err := cpuset.Parse(content(t, fmt.Sprintf("/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu)))
		must.NoError(t, err)
		seen = seen.Union(siblings)
		if cores.Add(cpu); cores.Len() == 2 {
			return cores
		}
	}
	t.Skip("needs two physical cores")
	return cores
}

// onTwoCores makes a site whose tasks have these two cores only, so that tests of
// shortage and of moves do the same on every machine.
func onTwoCores(t *testing.T, cores cpuset.Set, adjust ...func(*cluster.Config)) *site {
	t.Helper()
	return newSite(t, fmt.Sprintf("cores { usable = %q }", cores), adjust...)
}

func TestDriver_CoresFromBirthAndDisjoint(t *testing.T) {
	t.Parallel()
	cores := twoCores(t)
	coresFromBirth(t, onTwoCores(t, cores), cores)
}

// coresFromBirth is for a site with these two cores and no tasks.
func coresFromBirth(t *testing.T, s *site, cores cpuset.Set) {
	// The first outlasts what the others do on a slow machine.
	one := s.start(jobHCL{name: "one", folder: s.deck("one", "solid_bar_impact"), config: "ncpu = 1", env: `STANDIN_PACE = "500ms"`})
	two := s.start(jobHCL{name: "two", folder: s.deck("two", "solid_bar_impact"), config: "ncpu = 1", env: slow})
	first, second := one.checkCores(), two.checkCores()
	must.Eq(t, 1, first.Len())
	must.Eq(t, 1, second.Len())
	must.False(t, first.Overlaps(second))
	must.Eq(t, first.String(), one.firstMask())
	must.Eq(t, second.String(), two.firstMask())

	t.Run("a third runs without affinity", func(t *testing.T) {
		three := s.start(jobHCL{name: "three", folder: s.deck("three", "solid_bar_impact"), config: "ncpu = 1", env: slow})
		three.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Running without affinity: 1 core asked, 0 free"))
		must.Len(t, 0, three.pidFile().Cores)
		must.NoError(t, s.StopJob(within(t), "three", false))
		three.wait(api.AllocClientStatusComplete)
	})

	t.Run("or waits for cores", func(t *testing.T) {
		hcl := jobHCL{name: "four", folder: s.deck("four", "solid_bar_impact"), config: `ncpu = 1
        shortage = "retry"`, env: slow}
		waiting := strings.Replace(hcl.String(), `attempts = 0
      mode     = "fail"`, `attempts = 50
      interval = "30m"
      delay    = "1s"
      mode     = "delay"`, 1)
		alloc, err := s.Run(within(t), waiting)
		must.NoError(t, err)
		four := &run{s: s, job: "four", folder: hcl.folder, alloc: alloc}
		_, err = s.WaitAlloc(within(t), alloc, cluster.TaskEvent("lsdyna", "not enough free cores: 1 core asked, 0 free"))
		must.NoError(t, err)

		freed := two.checkCores()
		must.NoError(t, s.StopJob(within(t), "two", false))
		two.wait(api.AllocClientStatusComplete)
		four.wait(api.AllocClientStatusRunning, cluster.TaskState("lsdyna", "running"), cluster.TaskEvent("lsdyna", "Allocated core "+freed.String()))
		must.Eq(t, freed, four.checkCores())
		must.NoError(t, s.StopJob(within(t), "four", false))
		four.wait(api.AllocClientStatusComplete)
	})

	t.Run("cores come back after kill -9 of the solver", func(t *testing.T) {
		rec := one.pidFile()
		must.NoError(t, unix.Kill(rec.PID, unix.SIGKILL))
		alloc := one.wait(api.AllocClientStatusFailed)
		code, signal, err := cluster.Exit(alloc, "lsdyna")
		must.NoError(t, err)
		must.Eq(t, 137, code)
		must.Eq(t, 9, signal)
	})

	t.Run("and after failed starts", func(t *testing.T) {
		failed := s.submit(jobHCL{name: "nodeck", folder: s.deck("nodeck", "solid_bar_impact"), config: "ncpu = 2\n args = [\"ncpu=8\"]"})
		failed.wait(api.AllocClientStatusFailed)
		both := s.start(jobHCL{name: "both", folder: s.deck("both", "solid_bar_impact"), config: "ncpu = 2", env: slow})
		must.Eq(t, cores, both.checkCores())
		must.NoError(t, s.StopJob(within(t), "both", false))
		both.wait(api.AllocClientStatusComplete)
	})
}

func TestDriver_ReservedCoresAreNomads(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	twoCores(t)
	s := newSite(t, "")
	shared := s.start(jobHCL{name: "shared", folder: s.deck("shared", "solid_bar_impact"), config: "ncpu = 1", env: slow})
	before := shared.checkCores()
	reserved := s.start(jobHCL{name: "reserved", folder: s.deck("reserved", "solid_bar_impact"), env: slow, resources: "cores = 1"})

	nomads := s.reservedCores(reserved.alloc)
	must.Eq(t, 1, nomads.Len())
	must.Eq(t, nomads, reserved.checkCores())
	must.Eq(t, nomads.String(), reserved.firstMask())

	if before.Overlaps(nomads) {
		shared.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Moved from "+allocator.Name(before)))
	}
	must.False(t, shared.checkCores().Overlaps(nomads))
}

// reservedCores asks Nomad which cores it reserved for an allocation; the api
// package does not have the field.
func (s *site) reservedCores(alloc string) cpuset.Set {
	s.t.Helper()
	var answer struct {
		AllocatedResources struct {
			Tasks map[string]struct{ Cpu struct{ ReservedCores []int } }
		}
	}
	_, err := s.API.Raw().Query("/v1/allocation/"+alloc, &answer, nil)
	must.NoError(s.t, err)
	return cpuset.Of(answer.AllocatedResources.Tasks["lsdyna"].Cpu.ReservedCores...)
}

func TestDriver_RepairsForeignAffinity(t *testing.T) {
	t.Parallel()
	all := twoCores(t)
	s := onTwoCores(t, all)
	r := s.start(jobHCL{name: "drift", folder: s.deck("drift", "solid_bar_impact"), config: "ncpu = 1", env: slow})
	own := r.checkCores()
	other := all.Difference(own)
	var mask unix.CPUSet
	mask.Set(other.First())
	must.NoError(t, unix.SchedSetaffinity(r.pidFile().PID, &mask))
	r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Affinity was changed from outside to "+allocator.Name(other)))
	must.Eq(t, own, r.checkCores())
}

// containsAll tells whether each text stands in one of the events.
func containsAll(events []string, texts ...string) bool {
	for _, text := range texts {
		if !slices.ContainsFunc(events, func(e string) bool { return strings.Contains(e, text) }) {
			return false
		}
	}
	return true
}

func TestDriver_UnpinnedKeepsOffLeasedCores(t *testing.T) {
	t.Parallel()
	cores := twoCores(t)
	const patient = `STANDIN_PACE = "200ms"`
	s := onTwoCores(t, cores)
	one := s.start(jobHCL{name: "one", folder: s.deck("one", "solid_bar_impact"), config: "ncpu = 1", env: patient})
	own := one.checkCores()
	rest := cores.Difference(own)
	shy := s.start(jobHCL{name: "shy", folder: s.deck("shy", "solid_bar_impact"), config: "ncpu = 2", env: patient})
	shy.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Running without affinity: 2 cores asked, 1 free; kept off leased cores, on "+rest.String()))
	shy.roamsOn(rest)

	s.killPlugin()
	shy.recovered()
	shy.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Recovered without affinity"))
	must.Eq(t, own, one.checkCores())
	shy.roamsOn(rest)

	must.NoError(t, s.StopJob(within(t), "one", false))
	one.wait(api.AllocClientStatusComplete)
	shy.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Bound to "+allocator.Name(cores)+": "))
	must.Eq(t, cores, shy.checkCores())
}

// With fewer cores to give out after a restart, the run whose core is still among them
// keeps it, whichever is adopted first; the other gets its core back when it is free.
func TestDriver_AChangeOfUsableKeepsWhoIsInside(t *testing.T) {
	t.Parallel()
	cores := twoCores(t)
	s := onTwoCores(t, cores)
	restart := func(usable cpuset.Set) (began time.Time) {
		t.Helper()
		began = time.Now()
		must.NoError(t, s.Stop(within(t)))
		s.Config.PluginConfig = s.pluginConfig(fmt.Sprintf("cores { usable = %q }", usable))
		start(t, s.Agent)
		return began
	}
	one := s.start(jobHCL{name: "one", folder: s.deck("one", "solid_bar_impact"), config: "ncpu = 1", env: steady})
	two := s.start(jobHCL{name: "two", folder: s.deck("two", "solid_bar_impact"), config: "ncpu = 1", env: steady})
	for _, pair := range [][2]*run{{one, two}, {two, one}} {
		stays, goes := pair[0], pair[1]
		own, lost := stays.checkCores(), goes.checkCores()
		pids := []int{stays.pidFile().PID, goes.pidFile().PID}
		began := restart(own)
		stays.said(began, "Restored "+allocator.Name(own)+" from the pid file")
		goes.said(began, fmt.Sprintf("Running without affinity: lost %s (no longer in cores.usable), and 1 core asked, 0 free", allocator.Name(lost)))
		must.Eq(t, own, stays.checkCores())
		must.SliceEmpty(t, goes.pidFile().Cores)
		began = restart(cores)
		goes.said(began, fmt.Sprintf("Bound to %s: it has become free", allocator.Name(lost)))
		must.Eq(t, lost, goes.checkCores())
		must.Eq(t, own, stays.checkCores())
		must.Eq(t, pids, []int{stays.pidFile().PID, goes.pidFile().PID})
	}
}

// roamsOn waits until every thread of a solver without cores of its own may run
// on these cores and on no others; its pid file tells none.
func (r *run) roamsOn(cpus cpuset.Set) {
	r.s.t.Helper()
	rec := r.pidFile()
	must.Len(r.s.t, 0, rec.Cores)
	must.NoError(r.s.t, cluster.Poll(within(r.s.t), "solver on cores "+cpus.String(), func() (bool, string, error) {
		threads, err := proc.ThreadCPUs(rec.PID)
		if err != nil {
			return false, err.Error(), nil // a thread has ended meanwhile
		}
		for _, on := range threads {
			if on != cpus.String() {
				return false, on, nil
			}
		}
		return len(threads) > 0, "no threads", nil
	}))
}
