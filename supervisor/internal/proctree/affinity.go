// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package proctree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/affinity"
)

// Thread is one thread of a task.
type Thread struct {
	PID  int
	TID  int
	CPUs cpuset.Set // its affinity, as the kernel reports it
}

// Threads returns every thread of every process with its affinity.
func (t *Tree) Threads() ([]Thread, error) {
	var threads []Thread
	err := t.eachThread(func(pid, tid int) error {
		cpus, err := affinity.Get(tid)
		if err != nil {
			return err
		}
		threads = append(threads, Thread{pid, tid, cpus})
		return nil
	})
	return threads, err
}

// eachThread calls do for every thread. ESRCH from do means the thread has
// ended meanwhile, and is no error.
func (t *Tree) eachThread(do func(pid, tid int) error) error {
	pids, err := t.PIDs()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		dir, err := os.Open(t.ProcRoot + "/" + strconv.Itoa(pid) + "/task")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("list threads: %w", err)
		}
		names, err := dir.Readdirnames(-1)
		dir.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("list threads: %w", err)
		}
		for _, name := range names {
			tid, err := strconv.Atoi(name)
			if err != nil {
				continue
			}
			if err := do(pid, tid); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("thread %d of process %d: %w", tid, pid, err)
			}
		}
	}
	return nil
}

// bindPasses bounds Bind: a task that starts threads faster than they can be
// bound, over so many passes, from threads already bound, does not exist.
const bindPasses = 100

// Bind binds every thread of every process of the task. A thread started
// by one that was not yet bound inherits the old mask, so it goes on until a whole
// pass finds nothing to do.
func (t *Tree) Bind(cpus cpuset.Set) error {
	for range bindPasses {
		moved := false
		err := t.eachThread(func(_, tid int) error {
			got, err := affinity.Get(tid)
			if err != nil || got == cpus {
				return err
			}
			moved = true
			return affinity.Bind(tid, cpus)
		})
		if err != nil {
			return err
		}
		if !moved {
			return nil
		}
	}
	return fmt.Errorf("bind to CPUs %s: after %d passes there still were threads elsewhere", cpus, bindPasses)
}

// Confine keeps every thread on the CPUs without binding all of them alike: a
// thread that is bound more tightly, as MPI ranks bind themselves, stays so. A
// thread that has exactly the CPUs of an earlier call, was, gets the new ones, so
// that the task spreads when CPUs come back; without was every thread gets them. No
// CPUs means all there are. What the cpuset leaves of the CPUs counts; a thread that
// it leaves none stays where it is.
func (t *Tree) Confine(was, cpus cpuset.Set) error {
	want := cpus
	if want.IsEmpty() {
		want = cpuset.Range(0, cpuset.MaxCPUs-1)
	}
	for range bindPasses {
		moved := false
		err := t.eachThread(func(_, tid int) error {
			before, err := affinity.Get(tid)
			if err != nil || !was.IsEmpty() && before != was && before.SubsetOf(want) {
				return err
			}
			if err := affinity.Set(tid, want); err != nil && !errors.Is(err, syscall.EINVAL) {
				return err
			}
			after, err := affinity.Get(tid)
			moved = moved || after != before
			return err
		})
		if err != nil {
			return fmt.Errorf("keep on CPUs %s: %w", cpus, err)
		}
		if !moved {
			return nil
		}
	}
	return fmt.Errorf("keep on CPUs %s: after %d passes there still were threads elsewhere", cpus, bindPasses)
}
