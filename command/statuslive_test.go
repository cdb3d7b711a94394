// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// solver is a process that stands for one: it sleeps in a session of its own.
func solver(t *testing.T, cpus ...int) *exec.Cmd {
	t.Helper()
	return solverIn(t, "", cpus...)
}

// solverIn is solver with a working directory.
func solverIn(t *testing.T, dir string, cpus ...int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	must.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var mask unix.CPUSet
	for _, cpu := range cpus {
		mask.Set(cpu)
	}
	must.NoError(t, unix.SchedSetaffinity(cmd.Process.Pid, &mask))
	return cmd
}

func ownCPUs(t *testing.T) cpuset.Set {
	t.Helper()
	var mask unix.CPUSet
	must.NoError(t, unix.SchedGetaffinity(0, &mask))
	var set cpuset.Set
	for cpu := range cpuset.MaxCPUs {
		if mask.IsSet(cpu) {
			set.Add(cpu)
		}
	}
	return set
}

// liveTask is a record of a solver whose supervisor is gone.
func liveTask(t *testing.T, cmd *exec.Cmd, cores ...int) nodetest.Task {
	t.Helper()
	start, err := procfs.StartTicks("/proc", cmd.Process.Pid)
	must.NoError(t, err)
	return nodetest.Task{
		Job: "live", Alloc: allocA, Name: "solve", Cores: cores, PID: cmd.Process.Pid, Start: start, Over: true,
		Spec: &supervisor.Spec{
			Version: 1, Command: "/bin/sleep", CPUs: cores, StdoutName: "stdout", StderrName: "stderr",
			Cgroups: supervisor.Cgroups{Mode: supervisor.CgroupNone},
		},
	}
}

func TestStatus_believesASolverWithoutSupervisorByItsIdentity(t *testing.T) {
	cpu := ownCPUs(t).First()
	cmd := solver(t, cpu)
	dir := nodetest.StateDir(t)
	liveTask(t, cmd, cpu).Make(t, dir)
	s := statusOf(t, dir, "/sys")
	must.Eq(t, "orphaned", s.Tasks[0].State)
	must.Eq(t, []int{cpu}, s.Tasks[0].KernelCores)
	must.False(t, s.Tasks[0].Drift)
	must.Eq(t, []string{"its supervisor is gone, so its exit status will be unknown"}, s.Tasks[0].Notes)

	must.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	s = statusOf(t, dir, "/sys")
	must.Eq(t, "ended", s.Tasks[0].State)
	must.Nil(t, s.Cores[0].JobID)
}

func TestStatus_doesNotBelieveAReusedPID(t *testing.T) {
	cmd := solver(t, ownCPUs(t).Slice()...)
	dir := nodetest.StateDir(t)
	m := liveTask(t, cmd, 0)
	m.Start++
	m.Make(t, dir)
	must.Eq(t, "ended", statusOf(t, dir, "/sys").Tasks[0].State)
}

func TestStatus_showsWhereTheKernelDisagreesWithThePIDFile(t *testing.T) {
	cpus := ownCPUs(t).Slice()
	if len(cpus) < 2 {
		t.Skip("one CPU cannot drift to another")
	}
	cmd := solver(t, cpus[0], cpus[1])
	dir := nodetest.StateDir(t)
	liveTask(t, cmd, cpus[0]).Make(t, dir)
	s := statusOf(t, dir, "/sys")
	must.True(t, s.Tasks[0].Drift)
	must.Eq(t, cpus[:2], s.Tasks[0].KernelCores)
	must.StrContains(t, s.Tasks[0].Notes[1], "the kernel lets it run on cpu "+cpuset.Of(cpus[:2]...).String())
	for _, core := range s.Cores {
		must.Eq(t, core.Index == cpus[1], core.Drift)
	}
	out := call(t, "status", "-state-dir", dir, "-smt", "share").out
	must.StrContains(t, out, "! used, but not owned")

	var mask unix.CPUSet
	mask.Set(cpus[1])
	must.NoError(t, unix.SchedSetaffinity(cmd.Process.Pid, &mask))
	other := nodetest.StateDir(t)
	liveTask(t, cmd, cpus[0], cpus[1]).Make(t, other)
	s = statusOf(t, other, "/sys")
	must.True(t, s.Tasks[0].Drift)
	must.StrContains(t, s.Tasks[0].Notes[1], "the kernel keeps it off cpu")
}

// TestStatus_ofARealSupervisor has this test binary run as a supervisor: package
// shim sees to that in its init.
func TestStatus_ofARealSupervisor(t *testing.T) {
	cpu := ownCPUs(t).First()
	dir := nodetest.StateDir(t)
	store, err := state.Open(dir)
	must.NoError(t, err)
	defer store.Close()
	record, err := store.Create(state.ID{Alloc: allocA, Task: "solve", Invocation: "1"})
	must.NoError(t, err)
	defer record.Unlock()
	must.Eq(t, "launching", statusOf(t, dir, "/sys").Tasks[0].State)
	proc, err := supervisor.Start(t.Context(), supervisor.Launch{
		Dir: record.Dir, Lock: record.Lock(), Env: []string{"PATH=/usr/bin:/bin"},
		Spec: &supervisor.Spec{
			TaskID: record.ID.String(), Command: "/bin/sleep", Args: []string{"600"}, Dir: t.TempDir(), CPUs: []int{cpu},
			User: supervisor.User{UID: os.Geteuid(), GID: os.Getegid()}, StdoutName: "stdout", StderrName: "stderr",
			Cgroups: supervisor.Cgroups{Mode: supervisor.CgroupNone},
		},
	})
	must.NoError(t, err)
	record.Unlock()
	t.Cleanup(func() { endRun(t, proc) })
	tree, err := proc.Tree()
	must.NoError(t, err)

	task := statusOf(t, dir, "/sys").Tasks[0]
	must.Eq(t, "running", task.State)
	must.Eq(t, []int{cpu}, task.Cores)
	must.Eq(t, []int{cpu}, task.KernelCores)
	must.False(t, task.Drift)
	must.Positive(t, *task.PID)
	must.Positive(t, *task.SupervisorPID)

	must.NoError(t, tree.Kill(t.Context()))
	<-proc.Done()
	task = statusOf(t, dir, "/sys").Tasks[0]
	must.Eq(t, "ended", task.State)
	must.Eq(t, 9, task.Exit.Signal)
}

func TestStatus_tellsOfARunFolderThatWasRemoved(t *testing.T) {
	for name, remade := range map[string]bool{"removed": false, "removed and made anew": true} {
		t.Run(name, func(t *testing.T) {
			dir := nodetest.StateDir(t)
			cpu, folder := ownCPUs(t).First(), t.TempDir()
			task := liveTask(t, solverIn(t, folder, cpu), cpu)
			task.Folder = folder
			task.Stdout = nodetest.Solving(5, 1e-2)
			task.Make(t, dir)
			must.NoError(t, os.RemoveAll(folder))
			if remade {
				must.NoError(t, os.Mkdir(folder, 0o755))
			}
			r := statusOf(t, dir, "/sys")
			must.StrContains(t, strings.Join(r.Tasks[0].Notes, "\n"), "its progress is not known: the run folder "+folder+" was removed under its solver: process ")
			must.StrNotContains(t, call(t, "status", "-state-dir", dir).out, "starting")
		})
	}
}
