// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/helper/uuid"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/drivers/testutils"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
)

// These are the tests that Nomad's own drivers have, on solvers.

func TestTask_StartWait(t *testing.T) {
	n := newNode(t)
	// Through gRPC, as the client. Killing the harness would race in go-plugin,
	// whose server is then stopped twice at once.
	h := testutils.NewDriverHarness(t, n.Driver)
	cfg := n.task(standinJob("ncpu = 1"))
	handle, _, err := h.StartTask(cfg)
	must.NoError(t, err)
	must.Eq(t, drivers.TaskStateRunning, handle.State)
	ch, err := h.WaitTask(t.Context(), cfg.ID)
	must.NoError(t, err)
	result := <-ch
	must.True(t, result.Successful(), must.Sprintf("%+v", result))
	status, err := h.InspectTask(cfg.ID)
	must.NoError(t, err)
	must.Eq(t, drivers.TaskStateExited, status.State)
	must.False(t, status.CompletedAt.Before(status.StartedAt))
	must.True(t, status.ExitResult.Successful())
	n.hears(cfg.ID, "Allocated core 0 (1 core")
	n.hears(cfg.ID, "Normal termination at the end time")
	must.NoError(t, h.DestroyTask(cfg.ID, false))
	_, err = h.InspectTask(cfg.ID)
	must.ErrorContains(t, err, drivers.ErrTaskNotFound.Error())
	left, err := os.ReadDir(filepath.Join(n.config.StateDir, "tasks"))
	must.NoError(t, err)
	must.SliceEmpty(t, left)
}

func TestTask_StartWaitRecoverWaitStop(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	before, err := n.InspectTask(r.id)
	must.NoError(t, err)
	lost, err := n.WaitTask(t.Context(), r.id)
	must.NoError(t, err)

	handle := persist(t, r.handle)
	n.restart()
	result, open := <-lost
	must.False(t, open, must.Sprintf("the old driver's end told a result: %v", result))
	must.NoError(t, n.RecoverTask(handle))
	after, err := n.InspectTask(r.id)
	must.NoError(t, err)
	must.True(t, before.StartedAt.Equal(after.StartedAt))
	after.StartedAt = before.StartedAt // the same instant, without its monotonic part
	must.Eq(t, before, after)

	result = r.stop()
	must.Eq(t, 9, result.Signal)
	must.Eq(t, 137, result.ExitCode)
	must.False(t, result.Successful())
	must.NoError(t, n.DestroyTask(r.id, false))
}

func TestTask_StartKillWait_LeavesAnEmptyCgroup(t *testing.T) {
	n := newNode(t)
	j := slowJob("ncpu = 1")
	j.cgroup = true
	r := n.start(j)
	procs := filepath.Join(r.task().Spec().Cgroups.Processes(), "cgroup.procs")
	inside, err := os.ReadFile(procs)
	must.NoError(t, err)
	must.Eq(t, strconv.Itoa(r.pid), strings.TrimSpace(string(inside)))
	result := r.stop()
	must.Eq(t, 9, result.Signal)
	inside, err = os.ReadFile(procs)
	must.NoError(t, err)
	must.Eq(t, "", string(inside))
}

var childPID = regexp.MustCompile(`CHILD=(\d+)`)

// child waits for a script to name its child.
func (r *run) child() int {
	r.t.Helper()
	r.says("CHILD=")
	pid, err := strconv.Atoi(childPID.FindStringSubmatch(r.read("stdout"))[1])
	must.NoError(r.t, err)
	return pid
}

func TestTask_DestroyKillsAll(t *testing.T) {
	n := newNode(t)
	r := n.start(n.script(`setsid sh -c 'echo CHILD=$$; exec sleep 3600' & exec sleep 3600`))
	child := r.child()
	must.ErrorContains(t, n.DestroyTask(r.id, false), "still runs; stop it first")
	must.True(t, alive(child))
	must.NoError(t, n.DestroyTask(r.id, true))
	must.False(t, alive(child))
	must.False(t, alive(r.pid))
	_, err := os.Stat(r.recordDir())
	must.ErrorIs(t, err, os.ErrNotExist)
	must.NoError(t, n.DestroyTask(r.id, true))
}

func TestTask_NoOrphanedTasks(t *testing.T) {
	t.Parallel()
	for name, cgroup := range map[string]bool{"with cgroups": true, "without cgroups": false} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			j := n.script(`setsid sh -c 'echo CHILD=$$; exec sleep 3600' & until test -e go; do sleep 0.01; done`)
			j.cgroup = cgroup
			r := n.start(j)
			child := r.child()
			must.True(t, alive(child))
			must.NoError(t, os.WriteFile(filepath.Join(r.folder, "go"), nil, 0o644))
			r.wait()
			must.False(t, alive(child))
		})
	}
}

func TestTask_DoesNotInheritOomScoreAdj(t *testing.T) {
	needRoot(t)
	if os.WriteFile("/proc/self/oom_score_adj", []byte("-500"), 0) != nil { // a privilege
		must.NoError(t, os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0))
	}
	defer func() { must.NoError(t, os.WriteFile("/proc/self/oom_score_adj", []byte("0"), 0)) }()
	n := newLoneNode(t)
	r := n.start(n.script("exec sleep 3600"))
	adj, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", r.pid))
	must.NoError(t, err)
	must.Eq(t, "0", strings.TrimSpace(string(adj)))
}

func TestTask_SignalCatching(t *testing.T) {
	n := newNode(t)
	r := n.start(n.script(`trap 'echo caught; exit 3' HUP; echo ready; while :; do sleep 0.01; done`))
	r.says("ready")
	must.ErrorContains(t, n.SignalTask(r.id, "SIGFOO"), `unknown signal "SIGFOO"`)
	must.ErrorContains(t, n.SignalTask(r.id, ""), "unknown signal")
	must.ErrorContains(t, n.StopTask(r.id, time.Second, "SIGFOO"), `unknown signal "SIGFOO"`)
	must.True(t, alive(r.pid))
	must.NoError(t, n.SignalTask(r.id, "SIGHUP"))
	result := r.wait()
	must.StrContains(t, r.read("stdout"), "caught")
	must.Eq(t, 3, result.ExitCode)
	must.ErrorContains(t, n.SignalTask(r.id, "SIGHUP"), "has ended")
	must.ErrorIs(t, n.SignalTask("a/b/c", "SIGHUP"), drivers.ErrTaskNotFound)
}

func TestTask_SignalsThatAreSenseSwitches(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.says("flush i/o buffers")
	must.NoError(t, n.SignalTask(r.id, "SIGUSR1"))
	n.hears(r.id, "Switch sw3, dump d3dump01 written")
	r.says("write d3dump01 file")
	must.True(t, alive(r.pid))
}

func TestTask_WaitExitSignal(t *testing.T) {
	n := newNode(t)
	result := n.start(n.script(`kill -TERM $$; sleep 60`)).wait()
	must.Eq(t, 15, result.Signal)
	must.Eq(t, 143, result.ExitCode)
	must.False(t, result.OOMKilled)
	must.ErrorContains(t, result.Err, "SIGTERM")
}

func TestTask_StartKillImmediately(t *testing.T) {
	n := newNode(t)
	for range 5 {
		r := n.start(slowJob(""))
		result := r.stop()
		must.Eq(t, 9, result.Signal)
		must.NoError(t, n.DestroyTask(r.id, false))
	}
	must.Eq(t, n.cores.Managed(), n.free())
}

func TestTask_Stats(t *testing.T) {
	n := newNode(t)
	j := slowJob("ncpu = 1")
	j.cgroup = cgroups()
	r := n.start(j)
	ctx, cancel := context.WithCancel(t.Context())
	ch, err := n.TaskStats(ctx, r.id, 10*time.Millisecond)
	must.NoError(t, err)
	for i := range 3 {
		usage := <-ch
		must.NotNil(t, usage.ResourceUsage.CpuStats)
		must.NotNil(t, usage.ResourceUsage.MemoryStats)
		must.MapContainsKey(t, usage.Pids, strconv.Itoa(r.pid))
		if i > 0 {
			must.Positive(t, usage.ResourceUsage.MemoryStats.RSS)
		}
	}
	cancel()
	for range ch { // closes
	}

	ch, err = n.TaskStats(t.Context(), r.id, 0)
	must.NoError(t, err)
	must.NotNil(t, <-ch)
	r.stop()
	for range ch { // closes with the task
	}
	_, err = n.TaskStats(t.Context(), r.id, time.Second)
	must.ErrorContains(t, err, "has ended")
	_, err = n.TaskStats(t.Context(), "a/b/c", time.Second)
	must.ErrorIs(t, err, drivers.ErrTaskNotFound)
}

func TestTask_OOMKilled(t *testing.T) {
	n := newNode(t)
	j := standinJob("ncpu = 1\n memory = \"1m\"", "oom=1")
	j.cgroup, j.memory = true, 64
	result := n.start(j).wait()
	must.True(t, result.OOMKilled)
	must.False(t, result.Successful())
	must.ErrorContains(t, result.Err, "out of memory")
}

func TestTask_SupervisorKilled_ExitStatusUnknown(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	endProcess(t, r.pidFile().SupervisorPID)
	n.hears(r.id, "supervisor was killed; the solver runs on")
	must.True(t, alive(r.pid))
	must.NoError(t, syscall.Kill(r.pid, syscall.SIGKILL))
	result := r.wait()
	must.Eq(t, -1, result.ExitCode)
	must.False(t, result.Successful())
	must.ErrorContains(t, result.Err, "exit status unknown")
	must.Eq(t, n.cores.Managed(), n.free())
}

// The solver says that all went well, but nobody saw its exit status.
func TestTask_SupervisorKilled_NeverASuccess(t *testing.T) {
	n := newNode(t)
	r := n.start(n.gated(standinJob("ncpu = 1")))
	endProcess(t, r.pidFile().SupervisorPID)
	r.open()
	result := r.wait()
	must.StrContains(t, r.read("stdout"), "N o r m a l")
	must.False(t, result.Successful())
	must.ErrorContains(t, result.Err, "exit status unknown")
	must.ErrorContains(t, result.Err, "normal termination at the end time")
}

// Children stay when supervisor and solver are killed while nobody watches.
func TestTask_NoOrphansOfAKilledSupervisor(t *testing.T) {
	t.Parallel()
	for name, recovered := range map[string]bool{"recovered": true, "started again": false} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			j := n.script(`setsid sh -c 'echo CHILD=$$; exec sleep 3600' & exec sleep 3600`)
			j.alloc, j.cgroup = uuid.Generate(), true
			r := n.start(j)
			child := r.child()
			n.stop()
			endProcess(t, r.pidFile().SupervisorPID)
			endProcess(t, r.pid)
			must.True(t, alive(child))
			n.launch()
			if recovered {
				r.comeBack()
				must.ErrorContains(t, r.wait().Err, "exit status unknown")
			} else {
				n.start(j)
			}
			must.False(t, alive(child))
		})
	}
}

// A finished run that is recovered late must not take its successor with it:
// both have the same cgroup.
func TestTask_LateRecoverySparesTheSuccessor(t *testing.T) {
	n := newNode(t)
	j := n.script(`exit 3`)
	j.alloc, j.cgroup = uuid.Generate(), true
	first := n.start(j)
	must.Eq(t, 3, first.wait().ExitCode)
	j = slowJob("ncpu = 1")
	j.alloc, j.cgroup = first.cfg.AllocID, true
	second := n.start(j)
	n.restart()
	first.comeBack()
	must.Eq(t, 3, first.wait().ExitCode)
	second.comeBack()
	second.runsOn("0")
}

// A stop looks at the outputs while the end of the run reads the last of them.
func TestTask_OutputsAreReadByOneAtATime(t *testing.T) {
	n := newNode(t)
	r := n.start(standinJob("ncpu = 1"))
	task := r.task()
	for !task.IsEnded() {
		task.View()
	}
	must.True(t, r.wait().Successful())
}

func TestTask_ExecStreamingConformance(t *testing.T) {
	needRoot(t)
	n := newNode(t, func(c *settings.Config) { c.AllowRoot = true })
	h := testutils.NewDriverHarness(t, heardOut{n.Driver})
	j := n.script("exec sleep 3600")
	j.cgroup, j.user = true, "root"
	r := n.start(j)
	testutils.ExecTaskStreamingConformanceTests(t, h, r.id)
}

// heardOut is a driver whose commands end when all of their output was passed on.
// Nomad's plugin server waits for that, its test harness does not.
type heardOut struct{ *Driver }

func (d heardOut) ExecTaskStreaming(ctx context.Context, id string, opts *drivers.ExecOptions) (*drivers.ExitResult, error) {
	heard := *opts
	heard.Stdout, heard.Stderr = toTheEnd{opts.Stdout}, toTheEnd{opts.Stderr}
	return d.Driver.ExecTaskStreaming(ctx, id, &heard)
}

// toTheEnd is an io.Pipe whose reader is back for more when it is closed: it takes
// an empty write only after it has passed on what came before.
type toTheEnd struct{ io.WriteCloser }

func (w toTheEnd) Close() error {
	_, _ = w.Write(nil)
	return w.WriteCloser.Close()
}

func TestTask_ExecRunsInTheTasksPlace(t *testing.T) {
	n := newNode(t)
	j := n.script("exec sleep 3600")
	j.cgroup = cgroups()
	j.config += "\n ncpu = 1"
	r := n.start(j)
	result, err := n.ExecTask(r.id, []string{"sh", "-c", `grep -E '^(Cpus_allowed_list|Uid|Groups)' /proc/self/status; pwd; cat /proc/self/cgroup; echo oops >&2; exit 7`}, patience)
	must.NoError(t, err)
	must.Eq(t, 7, result.ExitResult.ExitCode)
	out := string(result.Stdout)
	must.StrContains(t, out, "\noops\n")
	must.SliceEmpty(t, result.Stderr)
	must.Eq(t, r.task().Spec().CPUs, []int{0})
	must.Eq(t, "0", statusField(out, "Cpus_allowed_list"))
	must.StrContains(t, out, r.folder)
	if os.Geteuid() == 0 {
		must.StrContains(t, statusField(out, "Uid"), "65534\t65534")
		must.Eq(t, "65534", statusField(out, "Groups"))
	}
	if j.cgroup {
		must.StrContains(t, out, r.cfg.AllocID+".solve")
	}
}

// A command leaves a child that keeps its streams open: it has ended all the same,
// with what it said and with its own exit code.
func TestTask_ExecLeavesAChildInTheBackground(t *testing.T) {
	n := newNode(t)
	j := n.script("exec sleep 3600")
	j.cgroup = cgroups()
	r := n.start(j)
	for _, code := range []int{0, 7} {
		result, err := n.ExecTask(r.id, []string{"sh", "-c", fmt.Sprintf("echo left; sleep 5 & exit %d", code)}, patience)
		must.NoError(t, err)
		must.Eq(t, code, result.ExitResult.ExitCode)
		must.Eq(t, "left\n", string(result.Stdout))
	}
}

func TestTask_ExecSaysWhatIsWrong(t *testing.T) {
	n := newNode(t)
	r := n.start(n.script("exec sleep 3600"))
	_, err := n.ExecTask(r.id, nil, patience)
	must.ErrorContains(t, err, "name a command")
	_, err = n.ExecTask(r.id, []string{"/nonexistent"}, patience)
	must.ErrorContains(t, err, "/nonexistent")
	_, err = n.ExecTask("a/b/c", []string{"true"}, patience)
	must.ErrorIs(t, err, drivers.ErrTaskNotFound)
	r.stop()
	_, err = n.ExecTask(r.id, []string{"true"}, patience)
	must.ErrorContains(t, err, "has ended")
}

func TestTask_UnknownTasks(t *testing.T) {
	n := newNode(t)
	must.NoError(t, n.StopTask("a/b/c", time.Second, "SIGTERM"))
	must.NoError(t, n.DestroyTask("a/b/c", false))
	must.NoError(t, n.DestroyTask("a/b/c", true))
	_, err := n.InspectTask("a/b/c")
	must.ErrorIs(t, err, drivers.ErrTaskNotFound)
	_, err = n.WaitTask(t.Context(), "a/b/c")
	must.ErrorIs(t, err, drivers.ErrTaskNotFound)
}

func TestWaitTask_ManyWaitersAndTheirContexts(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	ctx, cancel := context.WithCancel(t.Context())
	tired, err := n.WaitTask(ctx, r.id)
	must.NoError(t, err)
	var patient []<-chan *drivers.ExitResult
	for range 10 {
		ch, err := n.WaitTask(t.Context(), r.id)
		must.NoError(t, err)
		patient = append(patient, ch)
	}
	cancel()
	result, open := <-tired
	must.False(t, open, must.Sprint(result))
	r.stop()
	for _, ch := range append(patient, patient[0]) {
		if result, open := <-ch; open {
			must.Eq(t, 9, result.Signal)
			_, again := <-ch
			must.False(t, again)
		}
	}
	must.Eq(t, 9, r.wait().Signal) // who comes late
}

func TestStopTask_IsDoneWhenItReturns(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob(""))
	var wait sync.WaitGroup
	for range 4 { // the client repeats itself
		wait.Go(func() {
			if err := n.StopTask(r.id, 10*time.Second, "SIGTERM"); err != nil {
				t.Error(err)
			}
			if alive(r.pid) {
				t.Error("the solver lives")
			}
			if free := n.free(); free != n.cores.Managed() {
				t.Errorf("free cores are %s", free)
			}
		})
	}
	wait.Wait()
	must.NoError(t, n.StopTask(r.id, time.Second, "SIGTERM"))
}

func TestTaskEvents_EndWithTheirContext(t *testing.T) {
	n := newNode(t)
	ctx, cancel := context.WithCancel(context.Background())
	ch, err := n.TaskEvents(ctx)
	must.NoError(t, err)
	cancel()
	for range ch {
	}
	ch, err = n.TaskEvents(context.Background())
	must.NoError(t, err)
	n.end()
	for range ch {
	}
}
