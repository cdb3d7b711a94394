// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package openfiles knows the soft limit of open files that this process was started
// with. Go raises it for itself when package syscall is initialised, puts it back where
// it executes a program, and tells nobody what it was.
//
// Go initialises packages in the order of their import paths as soon as their imports
// are ready (see package shim). This one imports nothing that has to be initialised, and
// its path is before syscall's, so it comes first. A test looks at it.
package openfiles

import (
	"runtime"
	"unsafe" // for go:linkname
)

// Soft is the limit, 0 where it is not known.
var Soft = read()

type limit struct{ soft, hard uint64 }

// rawSyscall6 without package syscall's initialisation.
//
//go:linkname rawSyscall6 syscall.RawSyscall6
func rawSyscall6(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)

func read() uint64 {
	const rlimitNOFILE = 7
	prlimit := uintptr(302)
	switch runtime.GOARCH {
	case "amd64":
	case "arm64":
		prlimit = 261
	default:
		return 0
	}
	now := new(limit)
	if _, _, errno := rawSyscall6(prlimit, 0, rlimitNOFILE, 0, uintptr(unsafe.Pointer(now)), 0, 0); errno != 0 {
		return 0
	}
	return now.soft
}
