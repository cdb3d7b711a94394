// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package proctree

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/rawcall"
)

// Memory policies, linux/mempolicy.h.
const (
	MemoryDefault = 0 // from the node of the CPU that the thread runs on, else from the nearest
	MemoryBind    = 2 // from the given nodes and nowhere else
)

// MaxNodes is how many NUMA nodes Linux can have (MAX_NUMNODES).
const MaxNodes = 1024

type nodeMask [MaxNodes / 64]uint64

func nodeMaskOf(nodes []int) (nodeMask, error) {
	var m nodeMask
	for _, n := range nodes {
		if n < 0 || n >= MaxNodes {
			return m, fmt.Errorf("%d is no NUMA node", n)
		}
		m[n/64] |= 1 << (n % 64)
	}
	return m, nil
}

// PlanMemoryPolicy puts SetMemoryPolicy for the thread that runs the list on it.
func PlanMemoryPolicy(l *rawcall.List, what string, policy int, nodes []int) (*rawcall.Step, error) {
	mask, err := nodeMaskOf(nodes)
	if err != nil {
		return nil, err
	}
	list, size := uintptr(0), uintptr(0)
	if len(nodes) > 0 {
		list, size = rawcall.Address(l, &mask), MaxNodes+1
	}
	return l.Call(what, syscall.SYS_SET_MEMPOLICY, uintptr(policy), list, size), nil
}

// SetMemoryPolicy sets where the calling thread's memory comes from. Children and
// executed programs inherit it; nobody can change it for another process later.
func SetMemoryPolicy(policy int, nodes []int) error {
	mask, err := nodeMaskOf(nodes)
	if err != nil {
		return err
	}
	list, size := &mask, uintptr(MaxNodes+1) // the kernel takes one off
	if len(nodes) == 0 {
		list, size = nil, 0
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SET_MEMPOLICY, uintptr(policy), uintptr(unsafe.Pointer(list)), size); errno != 0 {
		return os.NewSyscallError("set_mempolicy", errno)
	}
	return nil
}

// MigratePages moves the pages that every process has on the from nodes to the
// to nodes, and returns how many could not be moved. A process that ends meanwhile
// is no error.
func (t *Tree) MigratePages(from, to []int) (left int, err error) {
	old, err := nodeMaskOf(from)
	if err != nil {
		return 0, err
	}
	wanted, err := nodeMaskOf(to)
	if err != nil {
		return 0, err
	}
	pids, err := t.PIDs()
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		n, _, errno := syscall.Syscall6(syscall.SYS_MIGRATE_PAGES, uintptr(pid), MaxNodes+1,
			uintptr(unsafe.Pointer(&old)), uintptr(unsafe.Pointer(&wanted)), 0, 0)
		switch {
		case errno == 0:
			left += int(n)
		case errno == syscall.ESRCH:
		default:
			err = errors.Join(err, fmt.Errorf("process %d: %w", pid, os.NewSyscallError("migrate_pages", errno)))
		}
	}
	return left, err
}
