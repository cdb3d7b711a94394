// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"fmt"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/rawcall"
)

// Limits that package syscall does not name, asm-generic/resource.h.
const (
	rlimitRSS     = 5
	rlimitNPROC   = 6
	rlimitMEMLOCK = 8
)

// raised are the limits that a solver gets as far as the agent's unit allows: memory
// that MPI locks for InfiniBand, and what a large model needs. Not among them:
// RLIMIT_NOFILE, because a program that uses select(2) does not survive descriptors
// above 1023, and RLIMIT_CORE, because a dump of a solver fills the disk.
var raised = []struct {
	name     string
	resource int
}{
	{"locked memory", rlimitMEMLOCK},
	{"processes", rlimitNPROC},
	{"address space", syscall.RLIMIT_AS},
	{"data", syscall.RLIMIT_DATA},
	{"resident memory", rlimitRSS},
	{"file size", syscall.RLIMIT_FSIZE},
	{"CPU time", syscall.RLIMIT_CPU},
}

// raiseLimits raises what the solver inherits from whoever started the agent. The
// hard limits are the operator's.
func raiseLimits(l *rawcall.List) error {
	for _, r := range raised {
		if err := raiseSoft(l, r.name, r.resource); err != nil {
			return fmt.Errorf("raise the limit of %s: %w", r.name, err)
		}
	}
	return raiseStack(l)
}

// raiseSoft raises a soft limit to the hard one.
func raiseSoft(l *rawcall.List, name string, resource int) error {
	var now syscall.Rlimit
	if err := syscall.Getrlimit(resource, &now); err != nil || now.Cur == now.Max {
		return err
	}
	setLimit(l, "raise the limit of "+name, resource, syscall.Rlimit{Cur: now.Max, Max: now.Max})
	return nil
}

// raiseStack lifts the stack limit, without which LS-DYNA's large automatic
// arrays crash it. Where the hard limit cannot be lifted the soft one follows it.
func raiseStack(l *rawcall.List) error {
	const unlimited = ^uint64(0)
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_STACK, &now); err != nil {
		return fmt.Errorf("read stack limit: %w", err)
	}
	const what = "raise stack limit"
	setLimit(l, what, syscall.RLIMIT_STACK, syscall.Rlimit{Cur: unlimited, Max: unlimited}).MayFail()
	setLimit(l, what, syscall.RLIMIT_STACK, syscall.Rlimit{Cur: now.Max, Max: now.Max}).IfFailed()
	return nil
}

func setLimit(l *rawcall.List, what string, resource int, to syscall.Rlimit) *rawcall.Step {
	return l.Call(what, syscall.SYS_PRLIMIT64, 0, uintptr(resource), rawcall.Address(l, &to), 0)
}
