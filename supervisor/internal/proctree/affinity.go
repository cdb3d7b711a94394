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
	_, err := t.eachThread(func(pid, tid int) error {
		cpus, err := affinity.Get(tid)
		if err != nil {
			return err
		}
		threads = append(threads, Thread{pid, tid, cpus})
		return nil
	})
	return threads, err
}

// eachThread calls do for every thread. ESRCH from do means the thread has ended
// meanwhile, and is no error. It returns the ids of the threads and processes that
// ended between being listed and being looked at.
func (t *Tree) eachThread(do func(pid, tid int) error) (missed []int, err error) {
	pids, missed, err := t.list()
	if err != nil {
		return nil, err
	}
	for _, pid := range pids {
		tids, err := t.threadsOf(pid)
		if err != nil {
			return missed, err
		}
		if len(tids) == 0 {
			missed = append(missed, pid)
		}
		for _, tid := range tids {
			switch err := do(pid, tid); {
			case errors.Is(err, syscall.ESRCH):
				missed = append(missed, tid)
			case err != nil:
				return missed, fmt.Errorf("thread %d of process %d: %w", tid, pid, err)
			}
		}
	}
	return missed, nil
}

// threadsOf lists the threads of a process; one that has ended has none.
func (t *Tree) threadsOf(pid int) ([]int, error) {
	dir, err := os.Open(t.ProcRoot + "/" + strconv.Itoa(pid) + "/task")
	if hasEnded(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list threads: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil && !hasEnded(err) {
		return nil, fmt.Errorf("list threads: %w", err)
	}
	tids := make([]int, 0, len(names))
	for _, name := range names {
		if tid, err := strconv.Atoi(name); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids, nil
}

// hasEnded reports whether an error about a file below /proc/PID means that the
// process has ended. Which of the two the kernel gives depends on how far it had come.
func hasEnded(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

const (
	// maxPasses bounds settle: a task that starts threads faster than they can be
	// bound, over so many passes, from threads already bound, does not exist.
	maxPasses = 100

	// quietPasses are how many passes in a row with nothing to change will do for a
	// task whose threads end all the time.
	quietPasses = 10
)

// settle looks at every thread until nothing is left to change, and reports whether
// it came to that. change reports whether it changed a thread.
//
// A thread inherits the mask of the one that starts it. So a pass that changes
// nothing is the last one only if it missed nobody: a thread that ended after it was
// listed and before it was looked at may have started another one, which was not
// listed. One that an earlier pass has looked at has no such children.
func (t *Tree) settle(change func(tid int) (changed bool, err error)) (settled bool, err error) {
	known := map[int]bool{}
	for pass, quiet := 0, 0; pass < maxPasses; pass++ {
		changed, complete := false, true
		missed, err := t.eachThread(func(_, tid int) error {
			did, err := change(tid)
			changed = changed || did
			known[tid] = known[tid] || err == nil
			return err
		})
		if err != nil {
			return false, err
		}
		for _, id := range missed {
			complete = complete && known[id]
			known[id] = true // it is missed once only: a zombie is listed until its parent waits for it
		}
		if quiet++; changed {
			quiet = 0
		}
		if quiet > 0 && complete || quiet == quietPasses {
			return true, nil
		}
	}
	return false, nil
}

// Bind binds every thread of every process of the task.
func (t *Tree) Bind(cpus cpuset.Set) error {
	settled, err := t.settle(func(tid int) (bool, error) {
		got, err := affinity.Get(tid)
		if err != nil || got == cpus {
			return false, err
		}
		return true, affinity.Bind(tid, cpus)
	})
	if err == nil && !settled {
		return fmt.Errorf("bind to CPUs %s: after %d passes there still were threads elsewhere", cpus, maxPasses)
	}
	return err
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
	settled, err := t.settle(func(tid int) (bool, error) {
		before, err := affinity.Get(tid)
		if err != nil || !was.IsEmpty() && before != was && before.SubsetOf(want) {
			return false, err
		}
		if err := affinity.Set(tid, want); err != nil && !errors.Is(err, syscall.EINVAL) {
			return false, err
		}
		after, err := affinity.Get(tid)
		return after != before, err
	})
	switch {
	case err != nil:
		return fmt.Errorf("keep on CPUs %s: %w", cpus, err)
	case !settled:
		return fmt.Errorf("keep on CPUs %s: after %d passes there still were threads elsewhere", cpus, maxPasses)
	}
	return nil
}
