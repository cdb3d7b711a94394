// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// What a dead file server does to a process is shown by others here: a stopped
// supervisor stands for one that the kernel cannot end, and a stage that opens a FIFO
// for one that does not get into its run folder.

// shorten gives one of the package's times another value for the test.
func shorten(t *testing.T, d *time.Duration, to time.Duration) {
	was := *d
	t.Cleanup(func() { *d = was })
	*d = to
}

// hangStage makes the launch stage wait in a system call, outside the kernel's reach
// of ctx: a cgroup that it has to join is a FIFO.
func (k *task) hangStage() {
	k.t.Helper()
	dir := filepath.Join(filepath.Dir(k.run), "cgroup")
	if err := os.Mkdir(dir, 0o700); err != nil {
		k.t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "cgroup.procs"), 0o600); err != nil {
		k.t.Fatal(err)
	}
	freezer := leaf(k.t, map[string]string{"cgroup.procs": ""})
	k.spec.Cgroups = Cgroups{Mode: CgroupV1, Join: []string{dir}, Freezer: freezer}
}

// supervisorPID finds the supervisor of a task that has no pid file yet.
func (k *task) supervisorPID() int {
	k.t.Helper()
	found := 0
	eventually(k.t, "there is a supervisor", func() bool {
		for pid, dir := range supervisors() {
			// Its child looks like it until it is the launch stage.
			if stat, err := procfs.ReadStat(procfs.Root, pid); dir == k.dir && err == nil && stat.PPID == os.Getpid() {
				found = pid
			}
		}
		return found != 0
	})
	return found
}

// children returns the processes below one, without what has ended.
func children(t *testing.T, of int) []int {
	t.Helper()
	pids, err := procfs.PIDs(procfs.Root)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(pids, func(pid int) bool {
		stat, err := procfs.ReadStat(procfs.Root, pid)
		return err != nil || stat.PPID != of || stat.Ended()
	})
}

// stageHangs waits until there is a launch stage, and no more of it.
func (k *task) stageHangs(supervisor int) {
	k.t.Helper()
	eventually(k.t, "the stage hangs", func() bool { return len(children(k.t, supervisor)) == 1 })
}

// stopped has a process do nothing any more until the test's end, or until the
// returned function is called.
func stopped(t *testing.T, pid int) (resume func()) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	resume = func() { syscall.Kill(pid, syscall.SIGCONT) }
	t.Cleanup(resume)
	// The other threads go on until one has taken the signal.
	threads := filepath.Join(procfs.Root, strconv.Itoa(pid), "task")
	eventually(t, "every thread has stopped", func() bool {
		tids, err := procfs.PIDs(threads)
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(tids, func(tid int) bool {
			stat, err := procfs.ReadStat(threads, tid)
			return err == nil && stat.State != 'T'
		})
	})
	return resume
}

// launchUntil starts the task in the background. The context ends with cancel.
func (k *task) launchUntil() (failed <-chan error, cancel func()) {
	k.t.Helper()
	lock, err := lockRecord(k.dir)
	if err != nil {
		k.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(k.t.Context())
	result := make(chan error, 1)
	go func() {
		p, err := Start(ctx, Launch{Dir: k.dir, Lock: lock, Spec: &k.spec, Env: k.env})
		if err == nil {
			p.Close()
		}
		result <- err
	}()
	return result, cancel
}

func result(t *testing.T, of <-chan error) error {
	t.Helper()
	select {
	case err := <-of:
		return err
	case <-time.After(testPatience):
		t.Fatal("Start did not return")
		return nil
	}
}

func TestStart_EndsWithItsContext(t *testing.T) {
	k := newTask(t, "/bin/true")
	k.hangStage()
	failed, cancel := k.launchUntil()
	pid := k.supervisorPID()
	k.stageHangs(pid)
	cancel()
	err := result(t, failed)
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrNotEnded) {
		t.Errorf("got %v", err)
	}
	if held, err := durable.Held(lockPath(k.dir)); err != nil || held {
		t.Errorf("held %v, %v", held, err)
	}
	if !gone(pid) {
		t.Error("the supervisor is still there")
	}
}

// The caller is told what it may not give back yet, and when it may.
func TestStart_SaysWhatCannotBeEnded(t *testing.T) {
	shorten(t, &launchGrace, 100*time.Millisecond)
	k := newTask(t, "/bin/true")
	k.hangStage()
	failed, cancel := k.launchUntil()
	pid := k.supervisorPID()
	k.stageHangs(pid)
	resume := stopped(t, pid)
	cancel()
	err := result(t, failed)
	var left *NotEndedError
	if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrNotEnded) || !errors.As(err, &left) {
		t.Fatalf("got %v", err)
	}
	defer left.Process.Close()
	if held, err := durable.Held(lockPath(k.dir)); err != nil || !held {
		t.Errorf("held %v, %v", held, err)
	}
	select {
	case <-left.Process.Done():
		t.Error("done, but the stage is there")
	default:
	}
	resume()
	if exit := k.wait(left.Process); exit.LaunchError == "" || exit.Code != -1 {
		t.Errorf("got %+v", exit)
	}
	if held, err := durable.Held(lockPath(k.dir)); err != nil || held {
		t.Errorf("held %v, %v", held, err)
	}
}

// A supervisor that hangs although nothing is below it is no reason to keep cores.
func TestStart_KillsASupervisorThatHangsAlone(t *testing.T) {
	shorten(t, &launchGrace, 100*time.Millisecond)
	k := newTask(t, "/bin/true")
	k.hangStage()
	failed, cancel := k.launchUntil()
	pid := k.supervisorPID()
	var stage []int
	eventually(t, "the stage hangs", func() bool { stage = children(t, pid); return len(stage) == 1 })
	stopped(t, pid)
	kill(t, stage[0])
	eventually(t, "the stage has ended", func() bool { return gone(stage[0]) })
	cancel()
	err := result(t, failed)
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrNotEnded) || !strings.Contains(err.Error(), "had to be killed") {
		t.Errorf("got %v", err)
	}
	if !gone(pid) {
		t.Error("the supervisor is still there")
	}
}

// hangAtTheEnd starts a task, ends its solver, and stops the supervisor while it
// copies the rest of the log, to a reader that takes nothing.
func hangAtTheEnd(t *testing.T, k *task) (p *Process, resume func()) {
	t.Helper()
	out, _ := k.fifos()
	reader, err := os.OpenFile(out, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	p = k.start()
	_, supervisor := record(t, p)
	eventually(t, "there is more than the FIFO holds", func() bool {
		info, err := os.Stat(filepath.Join(k.run, "stdout"))
		return err == nil && info.Size() >= 1<<20
	})
	solver, _ := record(t, p)
	kill(t, solver)
	closes(t, "gone", p.Gone())
	return p, stopped(t, supervisor)
}

func closes(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(testPatience):
		t.Fatalf("%s: not closed", what)
	}
}

// The cores come back when no process is left, and the task ends, whatever the
// supervisor waits for. So it is for a plugin that finds the task like this.
func TestDone_WaitsForNoSupervisorThatHangs(t *testing.T) {
	shorten(t, &drainPatience, 200*time.Millisecond)
	k := self(t, "solver-talk", "100000000")
	p, resume := hangAtTheEnd(t, k)
	exit := k.wait(p)
	if exit.Signal != int(syscall.SIGKILL) {
		t.Errorf("got %+v", exit)
	}
	again, err := Open(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	closes(t, "gone", again.Gone())
	if exit := k.wait(again); exit.Signal != int(syscall.SIGKILL) {
		t.Errorf("found again: %+v", exit)
	}
	_, supervisor := record(t, p)
	if gone(supervisor) {
		t.Error("the supervisor has ended: nothing was shown")
	}
	resume()
	eventually(t, "the supervisor has ended", func() bool { return gone(supervisor) })
}

// While it only copies the log it is waited for, and the cores are not.
func TestDone_WaitsForTheRestOfTheLog(t *testing.T) {
	k := self(t, "solver-talk", "100000000")
	p, resume := hangAtTheEnd(t, k)
	select {
	case <-p.Done():
		t.Error("done before the log was copied")
	default:
	}
	resume()
	k.wait(p)
}

func TestGone_NotWhileAProcessIsLeft(t *testing.T) {
	cgroupKinds(t, func(t *testing.T) *task { return shell(t, "sleep 1000 & echo up; wait") }, func(t *testing.T, k *task) {
		p := k.start()
		k.says("up")
		_, supervisor := record(t, p)
		resume := stopped(t, supervisor)
		solver, _ := record(t, p)
		kill(t, solver)
		if p.isGone() {
			t.Error("gone without an exit record")
		}
		resume()
		closes(t, "gone", p.Gone())
		if pids, err := tree(t, p).PIDs(); err != nil || len(pids) > 0 {
			t.Errorf("gone, but there are %v (%v)", pids, err)
		}
		k.wait(p)
	})
}

// A killed supervisor cannot say that nothing is left.
func TestGone_NeverOfAnOrphan(t *testing.T) {
	k := shell(t, "echo up; read line < go")
	letGo := k.gate()
	p := k.start()
	k.says("up")
	_, supervisor := record(t, p)
	kill(t, supervisor)
	eventually(t, "it is an orphan", func() bool { return p.State() == Orphaned })
	letGo()
	if _, err := k.outcome(p); !errors.Is(err, ErrExitUnknown) {
		t.Errorf("got %v", err)
	}
	select {
	case <-p.Gone():
		t.Error("gone")
	default:
	}
}

func TestExec_StartEndsWithItsContext(t *testing.T) {
	k := newTask(t, "/bin/sleep", "1000")
	p := k.start()
	k.hangStage()
	spec := *p.Spec()
	spec.Cgroups = k.spec.Cgroups
	c, err := p.Command(&spec, ExecOptions{Argv: []string{"/bin/true"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- c.Start(ctx) }()
	eventually(t, "the stage hangs", func() bool { return len(p.beside.list()) == 1 })
	cancel()
	if err := result(t, failed); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNotEnded) {
		t.Errorf("got %v", err)
	}
	if left := p.beside.list(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	if !gone(c.Cmd.Process.Pid) {
		t.Error("the command is still there")
	}
}

func TestExec_StartNeedsAContextThatLives(t *testing.T) {
	k := newTask(t, "/bin/sleep", "1000")
	p := k.start()
	c, err := p.Command(p.Spec(), ExecOptions{Argv: []string{"/bin/true"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Start(ctx); !errors.Is(err, context.Canceled) || c.Cmd.Process != nil {
		t.Errorf("got %v", err)
	}
}
