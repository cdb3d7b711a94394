// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// all takes every core there is.
func (n *node) all() string { return fmt.Sprintf("ncpu = %d", n.available()) }

func TestCores_ShortageUnpinned(t *testing.T) {
	n := newNode(t)
	first := n.start(slowJob(n.all()))
	second := n.start(slowJob("ncpu = 1"))
	n.hears(second.id, "Running without affinity: 1 core asked, 0 free")
	must.SliceEmpty(t, second.pidFile().Cores)
	must.Eq(t, []string{n.cores.Topology().Online.String()}, second.threads())
	first.runsOn(n.cores.Managed().String())
	_, leased := n.lease(second.id)
	must.False(t, leased)
}

func TestCores_ShortageRetry(t *testing.T) {
	n := newNode(t)
	first := n.start(slowJob(n.all()))
	cfg := n.task(slowJob("ncpu = 1\n shortage = \"retry\""))
	_, _, err := n.StartTask(cfg)
	must.ErrorContains(t, err, "not enough free cores: 1 core asked, 0 free")
	must.True(t, structs.IsRecoverable(err))
	must.SliceEmpty(t, solversIn(t, first.folder+"x"))
	first.stop()
	handle, _, err := n.StartTask(cfg) // as the restart policy does
	must.NoError(t, err)
	n.started(cfg, handle).runsOn("0")
}

func TestCores_ExactlyWhatNomadReserved(t *testing.T) {
	needCPUs(t, 2)
	for _, c := range []struct{ cores, ncpu, says string }{
		{"1", "", "Allocated core 1 (1 core"},
		{"0,1", "", "Allocated cores 0-1 (2 cores"},
		{"0-1", "ncpu = 1", "Allocated cores 0-1"},
	} {
		t.Run(c.cores+" "+c.ncpu, func(t *testing.T) {
			n := newLoneNode(t)
			j := slowJob(c.ncpu)
			j.cores, j.cgroup = c.cores, true
			r := n.start(j)
			set, err := cpuset.Parse(c.cores)
			must.NoError(t, err)
			r.runsOn(set.String())
			leaf, err := os.ReadFile(filepath.Join(r.task().Spec().Cgroups.LeafCpuset, "cpuset.cpus"))
			must.NoError(t, err)
			must.Eq(t, set.String(), strings.TrimSpace(string(leaf)))
			n.hears(r.id, c.says)
			r.says("STANDIN-AFFINITY rank=0") // its first act
			line, _, _ := strings.Cut(r.read("stdout"), "\n")
			must.StrContains(t, line, "thread=main cpus="+set.String())
			n.restart()
			r.comeBack()
			r.runsOn(set.String())
		})
	}
}

// Nomad forgets the cpuset of a task with reserved cores where its client is killed between
// the task's end and its own work after it. With cores in it nobody could take them out of
// the cpuset above, as the client tries before it starts anything.
func TestCores_LeaveTheTasksCpuset(t *testing.T) {
	for name, over := range map[string]func(*run){
		"after an end":                  func(r *run) { must.NoError(r.t, syscall.Kill(r.pid, syscall.SIGKILL)) },
		"after a stop":                  func(r *run) { r.stop() },
		"after an end without a plugin": func(r *run) { r.n.stop(); endProcess(r.t, r.pid); r.n.launch(); r.comeBack() },
	} {
		t.Run(name, func(t *testing.T) {
			n := newLoneNode(t)
			j := slowJob("")
			j.cores, j.cgroup = "0", true
			r := n.start(j)
			groups := r.task().Spec().Cgroups
			if groups.Mode != supervisor.CgroupV1 {
				t.Skip("needs cgroups v1")
			}
			over(r)
			<-r.task().Ended()
			cpus, err := os.ReadFile(filepath.Join(groups.LeafCpuset, "cpuset.cpus"))
			must.NoError(t, err)
			must.Eq(t, "", strings.TrimSpace(string(cpus)))
			must.NoError(t, setPartition("reserve", "")) // as the client does
		})
	}
}

func TestCores_MoreThanNomadReserved(t *testing.T) {
	n := newNode(t)
	j := slowJob("ncpu = 2")
	j.cores = "0"
	_, _, err := n.StartTask(n.task(j))
	must.ErrorContains(t, err, "ncpu = 2 wants more than the 1 core that resources.cores reserves")
	must.False(t, structs.IsRecoverable(err))
	j.config = "solver = \"standin\""
	j.cores = "x"
	_, _, err = n.StartTask(n.task(j))
	must.ErrorContains(t, err, "cores that Nomad reserved")
}

func TestCores_AReservationMovesWhoIsThere(t *testing.T) {
	needCPUs(t, 2)
	n := newLoneNode(t)
	first := n.start(slowJob("ncpu = 1"))
	first.runsOn("0")
	j := slowJob("")
	j.cores, j.cgroup = "0", true
	second := n.start(j)
	second.runsOn("0")
	first.runsOn("1")
	n.hears(first.id, "Moved from core 0 to core 1: reserved by Nomad for another task")

	n.patience.vacancy = time.Millisecond
	_, _, err := n.StartTask(n.task(j))
	must.ErrorContains(t, err, "core 0 is not free: 0 held by "+second.id)
	must.True(t, structs.IsRecoverable(err)) // Nomad may have stopped the other already
}

// Nomad gives a task's cores to the next one when it decides to stop the first, which
// may take its time for a dump.
func TestCores_AStartWaitsForTheTaskThatLeavesItsCores(t *testing.T) {
	for name, c := range map[string]struct {
		orderFirst bool          // to stop the first task, before the start of the second
		vacancy    time.Duration // patience with one that is not being stopped
	}{
		"the stop was ordered before": {true, time.Millisecond},
		"the stop is ordered later":   {false, patience},
	} {
		t.Run(name, func(t *testing.T) {
			n := newLoneNode(t)
			n.patience.vacancy = c.vacancy
			j := n.script("trap 'echo leaving; until test -e go; do sleep 0.01; done; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
			j.cores, j.cgroup = "0", true
			first := n.start(j)
			first.runsOn("0")
			first.says("ready") // it heeds the signal now
			var stopped sync.WaitGroup
			stop := func() {
				stopped.Go(func() { must.NoError(t, n.StopTask(first.id, patience, "")) })
				first.says("leaving")
			}
			if c.orderFirst {
				stop()
			}
			next := slowJob("")
			next.cores, next.cgroup = "0", true
			cfg := n.task(next)
			var handle *drivers.TaskHandle
			var err error
			stopped.Go(func() { handle, _, err = n.StartTask(cfg) })
			n.hears(cfg.ID, "Waiting: core 0 is not free: 0 held by "+first.id)
			if !c.orderFirst {
				stop()
			}
			must.NoError(t, os.WriteFile(filepath.Join(first.folder, "go"), nil, 0o644))
			stopped.Wait()
			must.NoError(t, err)
			n.started(cfg, handle).runsOn("0")
		})
	}
}

func TestCores_AReservationLeavesNoCoreForWhoIsThere(t *testing.T) {
	needCPUs(t, 2)
	n := newLoneNode(t, func(c *settings.Config) { c.Cores.Usable = "0" })
	first := n.start(slowJob("ncpu = 1"))
	j := slowJob("")
	j.cores, j.cgroup = "0", true
	second := n.start(j)
	second.runsOn("0")
	n.hears(first.id, "Running without affinity: lost core 0")
	must.SliceEmpty(t, first.pidFile().Cores)
	must.Eq(t, []string{n.cores.Topology().Online.String()}, first.threads())
}

// Another driver's task got the core: only the cgroups tell.
func TestCores_AReservationForAnotherDriversTask(t *testing.T) {
	needCPUs(t, 2)
	n := newLoneNode(t)
	j := slowJob("ncpu = 1")
	j.cgroup = true
	r := n.start(j)
	r.runsOn("0")
	must.NoError(t, setPartition("reserve", "0"))
	defer freeReserved(t)
	n.hears(r.id, "Moved from core 0 to core 1: reserved by Nomad")
	r.runsOn("1")
	// A new driver learns the agent's cgroup parent from the records.
	n.stop()
	r.withCores(0)
	n.launch()
	r.comeBack()
	n.hears(r.id, "Restored core 0")
	eventually(t, "the solver is moved again", func() bool { return fmt.Sprint(r.pidFile().Cores) == "[1]" })
	eventually(t, "all of it", func() bool { return fmt.Sprint(r.threads()) == "[1]" })
}

func TestCores_DriftIsRepairedAndTold(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	var mask unix.CPUSet
	mask.Set(1)
	must.NoError(t, unix.SchedSetaffinity(r.pid, &mask))
	n.hears(r.id, "Affinity was changed from outside to core 1; bound to core 0 again")
	r.runsOn("0")
}

func TestCores_ComeBack(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*run){
		"after the end":                   func(r *run) {},
		"after a stop":                    func(r *run) { must.NoError(r.t, r.n.StopTask(r.id, patience, "")) },
		"after a hard stop":               func(r *run) { must.NoError(r.t, r.n.StopTask(r.id, 0, "")) },
		"after a kill -9 of the solver":   func(r *run) { must.NoError(r.t, syscall.Kill(r.pid, syscall.SIGKILL)) },
		"after the end of the supervisor": func(r *run) { endProcess(r.t, r.pidFile().SupervisorPID); endProcess(r.t, r.pid) },
		"after a destruction":             func(r *run) { must.NoError(r.t, r.n.DestroyTask(r.id, true)) },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			j := slowJob(n.all())
			if name == "after the end" {
				j = standinJob(n.all())
			}
			r := n.start(j)
			task := r.task()
			must.Zero(t, n.available())
			end(r)
			select {
			case <-task.Gone():
			case <-t.Context().Done():
			}
			must.Eq(t, n.cores.Managed(), n.free())
		})
	}
}

func TestCores_ComeBackAfterAFailedStart(t *testing.T) {
	n := newNode(t)
	notExecutable := filepath.Join(n.work, "no-solver")
	must.NoError(t, os.WriteFile(notExecutable, []byte("\x7fELF nonsense"), 0o755))
	for name, c := range map[string]struct {
		job         job
		spoil       func(*drivers.TaskConfig)
		want        string
		recoverable bool
		root        bool
	}{
		"missing solver":            {job: job{config: `command = "/nonexistent"`}, want: "solver: stat /nonexistent"},
		"unknown solver":            {job: job{config: `solver = "r99"`}, want: `solver "r99" is not configured`},
		"bad user":                  {job: job{config: `solver = "standin"`, user: "no:such:user"}, want: `user "no:such:user"`},
		"root":                      {job: job{config: `solver = "standin"`, user: "root"}, want: "does not allow", root: true},
		"missing input":             {job: job{config: "solver = \"standin\"\n input = \"other.k\""}, want: "input: ", recoverable: true},
		"input leads out":           {job: job{config: "solver = \"standin\"\n input = \"../main.k\""}, want: "input: "},
		"cannot be run":             {job: job{config: fmt.Sprintf("command = %q\n ncpu = 1", notExecutable)}, want: "start solver: "},
		"bad memory":                {job: job{config: "solver = \"standin\"\n memory = \"much\""}, want: "command line: "},
		"missing work_dir":          {job: slowJob(""), spoil: func(c *drivers.TaskConfig) { removeWorkDir(t, c) }, want: "make it on this node", recoverable: true},
		"missing dump":              {job: job{config: "solver = \"standin\"\n restart = \"d3dump09\""}, want: "restart: there is no d3dump09 in the run folder"},
		"more cores than there are": {job: job{config: "solver = \"standin\"\n shortage = \"retry\"\n ncpu = 99"}, want: "this node gives out "},
		"mounts":                    {job: slowJob(""), spoil: func(c *drivers.TaskConfig) { c.Mounts = []*drivers.MountConfig{{}} }, want: "takes no volume mounts"},
		"devices":                   {job: slowJob(""), spoil: func(c *drivers.TaskConfig) { c.Devices = []*drivers.DeviceConfig{{}} }, want: "and no devices"},
		"odd task ID":               {job: slowJob(""), spoil: func(c *drivers.TaskConfig) { c.ID = "a/../b" }, want: "not a plain name"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.root {
				needRoot(t)
			}
			cfg := n.task(c.job)
			if c.spoil != nil {
				c.spoil(cfg)
			}
			_, _, err := n.StartTask(cfg)
			must.ErrorContains(t, err, c.want)
			must.Eq(t, c.recoverable, structs.IsRecoverable(err))
			must.Eq(t, n.cores.Managed(), n.free())
			records, err := n.store.Records()
			must.NoError(t, err)
			must.SliceEmpty(t, records)
			_, err = n.Driver.task(cfg.ID)
			must.ErrorIs(t, err, drivers.ErrTaskNotFound)
			must.SliceEmpty(t, descriptorsBelow(t, n.work))
		})
	}
}

func removeWorkDir(t *testing.T, cfg *drivers.TaskConfig) {
	var config settings.TaskConfig
	must.NoError(t, cfg.DecodeDriverConfig(&config))
	must.NoError(t, os.RemoveAll(config.WorkDir))
}

// descriptorsBelow are this process's open files below a folder.
func descriptorsBelow(t *testing.T, dir string) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	must.NoError(t, err)
	var below []string
	for _, link := range links {
		if path, err := os.Readlink(link); err == nil && strings.HasPrefix(path, dir) {
			below = append(below, path)
		}
	}
	return below
}

// Two solvers in one folder destroy each other's results.
func TestCores_OneSolverForEachRunFolder(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	j := slowJob("ncpu = 1")
	j.folder = r.folder
	_, _, err := n.StartTask(n.task(j))
	must.ErrorContains(t, err, "two solvers in one folder")
	must.True(t, structs.IsRecoverable(err))
	must.Eq(t, []int{r.pid}, solversIn(t, r.folder))

	// And where several tasks want it at the same moment.
	j.folder = n.folder(deckFiles(t, true))
	errs := make([]error, 3)
	var wait sync.WaitGroup
	for i := range errs {
		cfg := n.task(j)
		wait.Go(func() { _, _, errs[i] = n.StartTask(cfg) })
	}
	wait.Wait()
	must.Eq(t, 1, len(solversIn(t, j.folder)))
	refused := 0
	for _, err := range errs {
		if err != nil {
			must.True(t, structs.IsRecoverable(err))
			refused++
		}
	}
	must.Eq(t, 2, refused)
}

func TestCores_TheConfigurationIsLeftForTheStatusCommand(t *testing.T) {
	n := newLoneNode(t, func(c *settings.Config) { c.Cores.SMT, c.Cores.Layout = "share", "scatter" })
	told, err := n.store.Settings()
	must.NoError(t, err)
	must.Eq(t, state.Settings{Version: 1, SMT: "share", Layout: "scatter", NomadUsable: n.Driver.said().usable.String()}, told)
	must.NotEq(t, "", told.NomadUsable)
}
