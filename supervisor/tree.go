// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"context"
	"fmt"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/internal/proctree"
)

// Tree is every process of a task: those in its cgroup, or without one the
// descendants of its supervisor and of its main process and their session.
type Tree struct {
	cgroups Cgroups
	list    proctree.Tree
}

// Thread is one thread of a task with its affinity.
type Thread = proctree.Thread

// MainPID returns the solver's process id, or 0 when it is gone (its id may
// belong to another process then).
func (t *Tree) MainPID() int {
	started, err := procfs.StartTicks(procfs.Root, t.list.Main)
	if t.list.Main == 0 || err != nil || started != t.list.MainStart {
		return 0
	}
	return t.list.Main
}

// HoldsMain reports whether the process that the pid file names is one of the
// task's, as far as its cgroup can tell.
func (t *Tree) HoldsMain() bool { return t.list.HoldsMain() }

// PIDs returns the live processes, zombies left out, in ascending order.
func (t *Tree) PIDs() ([]int, error) { return t.list.PIDs() }

// Threads returns every thread of every process with its affinity.
func (t *Tree) Threads() ([]Thread, error) { return t.list.Threads() }

// Signal sends a signal to the main process. os.ErrProcessDone if it is gone.
func (t *Tree) Signal(sig syscall.Signal) error { return t.list.SignalMain(sig) }

// SignalAll sends a signal to every process of the task.
func (t *Tree) SignalAll(sig syscall.Signal) error { return t.list.SignalAll(sig) }

// Kill ends every process of the task and returns when none is left. An error at the
// end of ctx wraps ErrNotEnded, unless the processes could not even be signalled.
func (t *Tree) Kill(ctx context.Context) error {
	if err := proctree.Repeat(ctx.Done(), t.list.KillOnce); err != nil {
		pids, _ := t.PIDs()
		return fmt.Errorf("end the task's processes %v: %w (%w)", pids, err, context.Cause(ctx))
	}
	return nil
}

// Bind moves every thread of every process to the CPUs, repeated until no new
// thread appears, and verifies it with the kernel. Where the leaf cpuset is the
// task's own it is widened first and narrowed last: a thread that is on none of
// its cpuset's CPUs for an instant would lose its mask (for good before Linux
// 6.2). Without CPUs the binding is lifted.
func (t *Tree) Bind(cpus cpuset.Set) error {
	leaf := t.cgroups.LeafCpuset
	if cpus.IsEmpty() {
		return t.Confine(cpuset.Set{}, cpuset.Set{})
	}
	list := cpus.String()
	if err := widenCpuset(leaf, list); err != nil {
		return err
	}
	if err := t.list.Bind(cpus); err != nil {
		return err
	}
	if err := setCpuset(leaf, "cpuset.cpus", list); err != nil {
		return err
	}
	return t.list.Bind(cpus) // finds nothing to do, or the kernel changed its mind
}

// Confine keeps a task that is bound to no CPUs of its own on some, or on all
// there are; was is what the last call said (see proctree.Tree.Confine). Its leaf
// cpuset is opened: affinity alone gives way when the last of the CPUs is taken.
func (t *Tree) Confine(was, cpus cpuset.Set) error {
	if err := t.openCpuset(t.cgroups.LeafCpuset); err != nil {
		return err
	}
	return t.list.Confine(was, cpus)
}
