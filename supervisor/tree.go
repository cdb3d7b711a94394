// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
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
	started, err := pidfile.StartTime(procRoot, t.list.Main)
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

// Kill ends every process of the task and returns when none is left.
func (t *Tree) Kill(ctx context.Context) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		empty, err := t.list.KillOnce()
		if empty {
			return nil
		}
		select {
		case <-ctx.Done():
			pids, _ := t.PIDs()
			return fmt.Errorf("end the task's processes %v: %w", pids, joinCause(ctx, err))
		case <-time.After(pause):
		}
	}
}

func joinCause(ctx context.Context, err error) error {
	if err != nil {
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return context.Cause(ctx)
}

// Bind moves every thread of every process to the CPUs, repeated until no new
// thread appears, and verifies it with the kernel. Where the leaf cpuset is the
// task's own it is widened first and narrowed last: a thread that is on none of
// its cpuset's CPUs for an instant would lose its mask (for good before Linux
// 6.2). Without CPUs the binding is lifted.
func (t *Tree) Bind(cpus []int) error {
	leaf := t.cgroups.LeafCpuset
	if len(cpus) == 0 {
		if err := t.openCpuset(leaf); err != nil {
			return err
		}
		return t.list.Unbind()
	}
	list := proctree.FormatCPUs(cpus)
	if err := widenCpuset(leaf, list); err != nil {
		return err
	}
	if err := t.list.Bind(cpus); err != nil {
		return err
	}
	if err := setCpuset(leaf, list); err != nil {
		return err
	}
	return t.list.Bind(cpus) // finds nothing to do, or the kernel changed its mind
}

// openCpuset gives a leaf cpuset all that its parent has.
func (t *Tree) openCpuset(leaf string) error {
	if leaf == "" || t.cgroups.Mode == CgroupV2 {
		return setCpuset(leaf, "\n") // v2: empty inherits
	}
	parent, err := os.ReadFile(filepath.Join(filepath.Dir(leaf), "cpuset.cpus"))
	if err != nil {
		return fmt.Errorf("lift the binding: %w", err)
	}
	return setCpuset(leaf, strings.TrimSpace(string(parent)))
}

func widenCpuset(leaf, list string) error {
	if leaf == "" {
		return nil
	}
	old, err := os.ReadFile(filepath.Join(leaf, "cpuset.cpus"))
	if err != nil {
		return nil // the task's processes may be gone, and the cgroup with them
	}
	if had := strings.TrimSpace(string(old)); had != "" {
		list = had + "," + list
	}
	return setCpuset(leaf, list)
}

func setCpuset(leaf, list string) error {
	if leaf == "" {
		return nil
	}
	if _, err := proctree.WriteCgroup(leaf, "cpuset.cpus", list); err != nil {
		return fmt.Errorf("set cpuset.cpus of cgroup %s to %q: %w", leaf, strings.TrimSpace(list), err)
	}
	return nil
}
