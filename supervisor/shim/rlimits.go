// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"fmt"
	"syscall"
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
func raiseLimits() error {
	for _, r := range raised {
		if err := raiseSoft(r.resource); err != nil {
			return fmt.Errorf("raise the limit of %s: %w", r.name, err)
		}
	}
	return raiseStack()
}

// raiseSoft raises a soft limit to the hard one.
func raiseSoft(resource int) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(resource, &l); err != nil || l.Cur == l.Max {
		return err
	}
	l.Cur = l.Max
	return syscall.Setrlimit(resource, &l)
}

// raiseStack lifts the stack limit, without which LS-DYNA's large automatic
// arrays crash it. Where the hard limit cannot be lifted the soft one follows it.
func raiseStack() error {
	const unlimited = ^uint64(0)
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_STACK, &l); err != nil {
		return fmt.Errorf("read stack limit: %w", err)
	}
	if syscall.Setrlimit(syscall.RLIMIT_STACK, &syscall.Rlimit{Cur: unlimited, Max: unlimited}) == nil {
		return nil
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_STACK, &syscall.Rlimit{Cur: l.Max, Max: l.Max}); err != nil {
		return fmt.Errorf("raise stack limit: %w", err)
	}
	return nil
}
