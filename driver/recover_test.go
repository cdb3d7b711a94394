// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/nomad/helper/uuid"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// comeBack hands the task to the driver that serves the node now, as the client
// does after its restart.
func (r *run) comeBack() {
	r.t.Helper()
	must.NoError(r.t, r.n.RecoverTask(persist(r.t, r.handle)))
	_, err := r.n.WaitTask(r.t.Context(), r.id)
	must.NoError(r.t, err)
}

// runsOn demands that the pid file, the books and every thread of the solver
// agree.
func (r *run) runsOn(cpus string) {
	r.t.Helper()
	must.True(r.t, alive(r.pid))
	rec := r.pidFile()
	must.Eq(r.t, r.pid, rec.PID)
	must.Eq(r.t, cpus, cpuset.Of(rec.Cores...).String())
	lease, ok := r.n.lease(r.id)
	must.True(r.t, ok)
	must.Eq(r.t, cpus, lease.CPUs.String())
	must.Eq(r.t, r.pid, lease.PID)
	must.Eq(r.t, []string{cpus}, r.threads())
	status, err := r.n.InspectTask(r.id)
	must.NoError(r.t, err)
	must.Eq(r.t, cpus, status.DriverAttributes["cores"])
	must.Eq(r.t, fmt.Sprint(r.pid), status.DriverAttributes["pid"])
}

// writePid replaces the pid file.
func (r *run) writePid(content string) {
	r.t.Helper()
	must.NoError(r.t, os.WriteFile(r.pidPath(), []byte(content), 0o600))
}

// withCores is the pid file with other cores.
func (r *run) withCores(cores ...int) {
	r.t.Helper()
	rec := r.pidFile()
	rec.Cores = append([]int{}, cores...)
	must.NoError(r.t, pidfile.Write(r.pidPath(), rec))
}

func TestRecover_HandleRoundTrip(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.runsOn("0")
	n.restart()
	handle := persist(t, r.handle)
	var lost settings.TaskConfig
	must.Error(t, handle.Config.DecodeDriverConfig(&lost)) // what recovery must do without
	must.Eq(t, n.cores.Managed().Len()-1, n.available(), must.Sprint("the core is free before the task is recovered"))
	must.NoError(t, n.RecoverTask(handle))
	_, err := n.WaitTask(t.Context(), r.id)
	must.NoError(t, err)
	r.runsOn("0")
	n.hears(r.id, "Restored core 0 from the pid file")
	must.NoError(t, n.RecoverTask(handle)) // again, as the client may
	r.runsOn("0")
}

func TestRecover_ManyTimes(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 2"))
	const restored = "Restored cores 0-1 from the pid file"
	for range 10 {
		n.restart()
		r.comeBack()
		r.runsOn("0-1")
		// An event that nobody has heard by then is told again.
		eventually(t, "the event has come", func() bool { return !r.task().Record().ReadRecoveries().Due })
	}
	must.Eq(t, []int{r.pid}, solversIn(t, r.folder))
	// Nomad keeps ten events of a task: they are not all of restarts.
	n.hears(r.id, "10 times in a row")
	must.Eq(t, []string{restored, restored + ", 10 times in a row; the next such event is the 100th's"},
		slices.DeleteFunc(n.said(r.id), func(words string) bool { return !strings.Contains(words, "Restored") }))
}

func TestRecover_PidFile(t *testing.T) {
	t.Parallel()
	needCPUs(t, 2)
	for name, c := range map[string]struct {
		spoil func(*run)
		cpus  string
		event string
	}{
		"whole":           {func(*run) {}, "0", "Restored core 0 from the pid file"},
		"gone":            {func(r *run) { must.NoError(r.t, os.Remove(r.pidPath())) }, "0", "Restored core 0 from the driver state"},
		"empty":           {func(r *run) { r.writePid("") }, "0", "Restored core 0 from the driver state"},
		"first line only": {func(r *run) { r.writePid(fmt.Sprintf("%d\n", r.pid)) }, "0", "Restored core 0 from the driver state"},
		"first line without its end": {
			func(r *run) { r.writePid(fmt.Sprint(r.pid)) },
			"0", "Restored core 0 from the driver state",
		},
		"broken second line": {
			func(r *run) { r.writePid(fmt.Sprintf("%d\n{\"cores\":[0,", r.pid)) },
			"0", "Restored core 0 from the driver state",
		},
		"second line without cores": {
			func(r *run) { r.writePid(fmt.Sprintf("%d\n{}\n", r.pid)) },
			"0", "Restored core 0 from the driver state",
		},
		"names another process, with all that proves it": {func(r *run) {
			pid, start := innocent(r.t)
			r.writePid(fmt.Sprintf("%d\n{\"cores\":[1],\"start_time\":%d,\"boot_id\":%q,\"supervisor_pid\":%d,\"supervisor_start_time\":%d}\n",
				pid, start, r.pidFile().BootID, pid, start))
		}, "0", "Restored core 0 from the driver state"},
		"of another boot": {func(r *run) {
			rec := r.pidFile()
			rec.BootID = "11111111-2222-3333-4444-555555555555"
			must.NoError(r.t, pidfile.Write(r.pidPath(), rec))
		}, "0", "Restored core 0 from the driver state"},
		"differs from the driver state, which it outranks": {
			func(r *run) { r.withCores(1) },
			"1", "Restored core 1 from the pid file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := n.start(slowJob("ncpu = 1"))
			n.stop()
			c.spoil(r)
			n.launch()
			r.comeBack()
			n.hears(r.id, c.event)
			r.runsOn(c.cpus)
			// And again from what was written.
			n.restart()
			r.comeBack()
			r.runsOn(c.cpus)
		})
	}
}

func TestRecover_ACopiedRecordTakesNoCores(t *testing.T) {
	t.Run("with a supervisor", func(t *testing.T) { copyRecord(t, func(*run) {}) })
	t.Run("of an orphan", func(t *testing.T) {
		copyRecord(t, func(r *run) { endProcess(t, r.pidFile().SupervisorPID) })
	})
}

func copyRecord(t *testing.T, before func(*run)) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	n.stop()
	before(r)
	// By its name it comes before the record that it was made from.
	copied := filepath.Join(n.config.StateDir, "tasks", "00000000-0000-4000-8000-000000000000", "solve", "00000000")
	must.NoError(t, os.CopyFS(copied, os.DirFS(r.recordDir())))
	n.launch()
	r.comeBack()
	r.runsOn("0")
	must.Eq(t, n.cores.Managed().Len()-1, n.available())
}

func TestRecover_OrphanWithASpoiledPidFile(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	n.stop()
	rec := r.pidFile()
	endProcess(t, rec.SupervisorPID)
	rec.BootID = "11111111-2222-3333-4444-555555555555"
	must.NoError(t, pidfile.Write(r.pidPath(), rec))
	n.launch()
	r.comeBack()
	n.hears(r.id, "Restored core 0 from the driver state")
	r.runsOn("0")
}

func TestRecover_SwappedPidFiles(t *testing.T) {
	needCgroups(t) // which tell whose a process is
	needCPUs(t, 2)
	n := newNode(t)
	j := slowJob("ncpu = 1")
	j.cgroup = true
	first := n.start(j)
	second := n.start(j)
	n.stop()
	a, b, tmp := first.pidPath(), second.pidPath(), first.pidPath()+".swap"
	must.NoError(t, errors.Join(os.Rename(a, tmp), os.Rename(b, a), os.Rename(tmp, b)))
	n.launch()
	first.comeBack()
	second.comeBack()
	first.runsOn("0")
	second.runsOn("1")
}

func TestRecover_WithoutAffinity(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	first, r := two(n)
	n.stop()
	r.withCores()               // as a crash in the middle of lifting the affinity leaves it
	n.config.Cores.Usable = "0" // so there are none for it
	n.launch()
	first.comeBack()
	r.comeBack()
	n.hears(r.id, "without affinity")
	first.runsOn("0")
	must.True(t, n.free().IsEmpty())
	eventually(t, "no affinity", func() bool {
		return slices.Equal([]string{n.cores.Topology().Online.String()}, r.threads())
	})
	must.SliceEmpty(t, r.pidFile().Cores)
}

// two starts two tasks, each on one core, in the order of their records.
func two(n *node) (first, second *run) {
	for _, alloc := range []string{"0a" + uuid.Generate()[2:], "fb" + uuid.Generate()[2:]} {
		j := slowJob("ncpu = 1")
		j.alloc = alloc
		first, second = second, n.start(j)
	}
	return first, second
}

func TestRecover_OccupiedCores(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	first, second := two(n)
	first.runsOn("0")
	second.runsOn("1")
	n.stop()
	first.withCores(1)
	n.launch()
	first.comeBack()
	second.comeBack()
	n.hears(second.id, "Moved from core 1 to core 0: taken")
	first.runsOn("1")
	second.runsOn("0")
}

func TestRecover_OccupiedCoresAndNoOthers(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	first, second := two(n)
	n.stop()
	n.config.Cores.Usable = "0"
	n.launch()
	first.comeBack()
	second.comeBack()
	n.hears(second.id, "Running without affinity: lost core 1 (no longer in cores.usable), and 1 core asked, 0 free")
	first.runsOn("0")
	must.SliceEmpty(t, second.pidFile().Cores)
	must.Eq(t, []string{n.cores.Topology().Online.String()}, second.threads())
}

// The run that lost its core comes first, by the order of the records: it takes none of
// the run that comes after it.
func TestRecover_AChangeOfUsableKeepsWhoIsInside(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	first, second := two(n)
	first.runsOn("0")
	second.runsOn("1")
	n.stop()
	n.config.Cores.Usable = "1"
	n.launch()
	first.comeBack()
	second.comeBack()
	n.hears(first.id, "Running without affinity: lost core 0 (no longer in cores.usable), and 1 core asked, 0 free")
	n.hears(second.id, "Restored core 1 from the pid file")
	second.runsOn("1")
	must.SliceEmpty(t, first.pidFile().Cores)
}

func TestRecover_FinishedTaskTakesNoCores(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end          string
		code, signal int
	}{
		"exit code": {"exit 7", 7, 0},
		"signal":    {"kill -SEGV $$", 139, 11},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := n.start(n.script("until test -e go; do sleep 0.01; done; " + c.end))
			n.stop()
			must.NoError(t, os.WriteFile(filepath.Join(r.folder, "go"), nil, 0o644))
			supervisor := r.pidFile().SupervisorPID
			eventually(t, "the supervisor has ended", func() bool { return !alive(supervisor) })
			n.launch()
			r.comeBack()
			result := r.wait()
			must.Eq(t, c.code, result.ExitCode)
			must.Eq(t, c.signal, result.Signal)
			must.Eq(t, n.cores.Managed(), n.free())
			status, err := n.InspectTask(r.id)
			must.NoError(t, err)
			must.Eq(t, drivers.TaskStateExited, status.State)
			must.NoError(t, n.DestroyTask(r.id, false))
		})
	}
}

func TestRecover_FinishedSuccess(t *testing.T) {
	n := newNode(t)
	r := n.start(standinJob("ncpu = 1"))
	n.stop()
	supervisor := r.pidFile().SupervisorPID
	eventually(t, "the supervisor has ended", func() bool { return !alive(supervisor) })
	n.launch()
	r.comeBack()
	result := r.wait()
	must.True(t, result.Successful(), must.Sprintf("%+v", result))
	n.hears(r.id, "Normal termination at the end time")
}

func TestRecover_RecordLost(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	n.stop()
	must.NoError(t, os.RemoveAll(filepath.Join(n.config.StateDir, "tasks")))
	must.NoError(t, os.Mkdir(filepath.Join(n.config.StateDir, "tasks"), 0o700))
	n.launch()
	r.comeBack()
	n.hears(r.id, "record was lost and was made anew")
	n.hears(r.id, "Restored core 0 from the driver state")
	r.runsOn("0")
	executed, err := n.ExecTask(r.id, []string{"/bin/true"}, patience)
	must.NoError(t, err)
	must.True(t, executed.ExitResult.Successful())
	result := r.stop()
	must.False(t, result.Successful())
	must.False(t, alive(r.pid))
	must.Eq(t, n.cores.Managed(), n.free())
}

// The handle is all there is, and its process is gone with the machine's last
// boot.
func TestRecover_HostRebooted(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]bool{"record kept": true, "record lost": false} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := n.start(slowJob("ncpu = 1"))
			n.stop()
			rec := r.pidFile()
			endProcess(t, rec.SupervisorPID)
			endProcess(t, r.pid)
			rec.BootID = "11111111-2222-3333-4444-555555555555"
			must.NoError(t, pidfile.Write(r.pidPath(), rec))
			var h state.TaskState
			must.NoError(t, r.handle.GetDriverState(&h))
			h.BootID = rec.BootID
			must.NoError(t, r.handle.SetDriverState(&h))
			if !keep {
				must.NoError(t, os.RemoveAll(r.recordDir()))
			}
			n.launch()
			r.comeBack()
			result := r.wait()
			must.Eq(t, -1, result.ExitCode)
			must.ErrorContains(t, result.Err, "host rebooted, solver lost")
			must.Eq(t, n.cores.Managed(), n.free())
		})
	}
}

func TestRecover_HandleThatCannotBeRead(t *testing.T) {
	n := newNode(t)
	handle := func(h *state.TaskState) *drivers.TaskHandle {
		th := drivers.NewTaskHandle(1)
		th.Config = &drivers.TaskConfig{ID: "a/b/c"}
		must.NoError(t, th.SetDriverState(h))
		return th
	}
	for name, c := range map[string]struct {
		handle *drivers.TaskHandle
		want   string
	}{
		"none":           {nil, "without its handle"},
		"no config":      {drivers.NewTaskHandle(1), "without its handle"},
		"no state":       {&drivers.TaskHandle{Config: &drivers.TaskConfig{}}, "decode driver state"},
		"garbage":        {&drivers.TaskHandle{Config: &drivers.TaskConfig{}, DriverState: []byte{0xc1, 1, 2}}, "decode driver state"},
		"no version":     {handle(&state.TaskState{TaskID: "a/b/c", AllocID: "a", Task: "b", Invocation: "c"}), "no version"},
		"newer version":  {handle(&state.TaskState{Version: 99, TaskID: "a/b/c", AllocID: "a", Task: "b", Invocation: "c"}), "newer version of the plugin"},
		"no task":        {handle(&state.TaskState{Version: 1}), "does not name its task"},
		"leads out":      {handle(&state.TaskState{Version: 1, TaskID: "a/../c", AllocID: "a", Task: "..", Invocation: "c"}), "not a plain name"},
		"no details":     {handle(&state.TaskState{Version: 1, TaskID: "a/b/c", AllocID: "a", Task: "b", Invocation: "c"}), "decode task.json"},
		"newer details":  {handle(&state.TaskState{Version: 1, TaskID: "a/b/c", AllocID: "a", Task: "b", Invocation: "c", Details: []byte(`{"version":9}`)}), "newer version"},
		"broken details": {handle(&state.TaskState{Version: 1, TaskID: "a/b/c", AllocID: "a", Task: "b", Invocation: "c", Details: []byte(`{`)}), "decode task.json"},
	} {
		t.Run(name, func(t *testing.T) {
			must.ErrorContains(t, n.RecoverTask(c.handle), c.want)
		})
	}
}

func TestRecover_WhileOthersStart(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	for range 4 {
		old := n.start(slowJob("ncpu = 1"))
		n.restart()
		next := []*drivers.TaskConfig{n.task(slowJob("ncpu = 1")), n.task(slowJob("ncpu = 1"))}
		var wait sync.WaitGroup
		wait.Go(func() {
			if err := n.RecoverTask(persist(t, old.handle)); err != nil {
				t.Error(err)
			}
		})
		for _, cfg := range next {
			wait.Go(func() {
				if _, _, err := n.StartTask(cfg); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		old.runsOn("0")
		var held cpuset.Set
		for _, lease := range n.cores.Leases() {
			must.False(t, held.Overlaps(lease.Held))
			held = held.Union(lease.Held)
		}
		for _, cfg := range append(next, old.cfg) {
			must.NoError(t, n.DestroyTask(cfg.ID, true))
		}
		must.Eq(t, n.cores.Managed(), n.free())
	}
}

// A task that Nomad restarts in place has the same allocation and name.
func TestRecover_AfterARestartInPlaceReadsNoStaleRecord(t *testing.T) {
	n := newNode(t)
	j := n.script("exit 3")
	j.alloc = uuid.Generate()
	first := n.start(j)
	must.Eq(t, 3, first.wait().ExitCode)
	j = n.script("echo again; until test -e go; do sleep 0.01; done; exit 5")
	j.alloc, j.folder = first.cfg.AllocID, first.folder
	second := n.start(j)
	second.says("again")
	n.restart()
	second.comeBack()
	status, err := n.InspectTask(second.id)
	must.NoError(t, err)
	must.Eq(t, drivers.TaskStateRunning, status.State)
	must.NoError(t, os.WriteFile(filepath.Join(second.folder, "go"), nil, 0o644))
	must.Eq(t, 5, second.wait().ExitCode)
	must.NoError(t, n.DestroyTask(second.id, false))
	first.comeBack()
	must.Eq(t, 3, first.wait().ExitCode)
}

func TestRecover_DestroyedRecordsOfOthersStay(t *testing.T) {
	n := newNode(t)
	a, b := n.start(slowJob("ncpu = 1")), n.start(slowJob("ncpu = 1"))
	must.NoError(t, n.DestroyTask(a.id, true))
	_, err := os.Stat(a.recordDir())
	must.ErrorIs(t, err, os.ErrNotExist)
	must.True(t, strings.HasPrefix(b.recordDir(), n.config.StateDir))
	must.Eq(t, b.pid, b.pidFile().PID)
}
