// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package affinity reads and sets the CPUs on which the kernel lets a thread run:
// sched_setaffinity(2).
//
// The supervisor links it, so it imports little (see package shim).
package affinity

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/rawcall"
)

// mask is a set as the kernel takes it: an array of unsigned longs.
type mask [cpuset.MaxCPUs / 64]uint64

// Get returns the CPUs that a thread may run on; 0 is the calling thread. A thread
// that has ended is syscall.ESRCH.
func Get(tid int) (cpuset.Set, error) {
	var m mask
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, uintptr(tid), unsafe.Sizeof(m), uintptr(unsafe.Pointer(&m)))
	if errno != 0 {
		return cpuset.Set{}, os.NewSyscallError("sched_getaffinity", errno)
	}
	return cpuset.FromWords(m), nil
}

// Set lets a thread run on the CPUs, or on those of them that its cpuset has: the
// kernel drops the others silently. A set without any CPU of the cpuset is
// syscall.EINVAL.
func Set(tid int, cpus cpuset.Set) error {
	m := mask(cpus.Words())
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(m), uintptr(unsafe.Pointer(&m)))
	if errno != 0 {
		return os.NewSyscallError("sched_setaffinity", errno)
	}
	return nil
}

// Bind is Set that reads the mask back: fewer CPUs than asked are an error.
func Bind(tid int, cpus cpuset.Set) error {
	if err := Set(tid, cpus); err != nil {
		return refused(tid, cpus, err)
	}
	got, err := Get(tid)
	if err != nil {
		return fmt.Errorf("read back CPU affinity: %w", err)
	}
	if got != cpus {
		return fewer(cpus, got)
	}
	return nil
}

// PlanBind puts Bind for the thread that runs the list on it.
func PlanBind(l *rawcall.List, cpus cpuset.Set) {
	want, got := new(mask), new(mask)
	*want = cpus.Words()
	l.Call("", syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(*want), rawcall.Address(l, want)).
		Explain(func(pid int, errno syscall.Errno) error { return refused(pid, cpus, errno) })
	l.Call("read back CPU affinity", syscall.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(*got), rawcall.Address(l, got))
	l.Same("", halves(want), halves(got)).Explain(func(pid int, _ syscall.Errno) error {
		is, err := Get(pid)
		if err != nil {
			return fmt.Errorf("bind to CPUs %s: the kernel allows fewer of them", cpus)
		}
		return fewer(cpus, is)
	})
}

func halves(m *mask) []uint32 { return unsafe.Slice((*uint32)(unsafe.Pointer(m)), 2*len(m)) }

func refused(tid int, cpus cpuset.Set, err error) error {
	if errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("bind to CPUs %s: none of them is online and in the task's cpuset (%s): %w", cpus, allowed(tid), err)
	}
	return fmt.Errorf("bind to CPUs %s: %w", cpus, err)
}

func fewer(cpus, got cpuset.Set) error {
	return fmt.Errorf("bind to CPUs %s: the kernel allows only %s of them", cpus, got)
}

// allowed says which CPUs a thread's cpuset lets it have, for an error message.
func allowed(tid int) string {
	self := "self"
	if tid != 0 {
		self = strconv.Itoa(tid)
	}
	status, err := os.ReadFile("/proc/" + self + "/status")
	if err != nil {
		return "unknown"
	}
	_, rest, _ := strings.Cut(string(status), "\nCpus_allowed_list:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}
