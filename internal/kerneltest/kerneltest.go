// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package kerneltest makes this kernel look like an older one to a process and to
// all that it starts, for tests of what the driver does there. A seccomp filter
// answers the newer system calls with an error (seccomp(2)). What a filter cannot
// do: flags of older system calls and files of cgroups stay as they are.
package kerneltest

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Oldest is the oldest kernel that the driver supports, RHEL 8's.
const Oldest = "4.18"

// How a kernel or a container answers a system call that it does not know.
const (
	Unknown = unix.ENOSYS // the kernel
	Denied  = unix.EPERM  // the seccomp profiles of container engines before 2020
)

// last is the number of the last system call that Linux 4.18 has (rseq). All later
// ones are behind it on every architecture.
var last = map[string]uint32{"amd64": unix.SYS_RSEQ, "arm64": unix.SYS_RSEQ}[runtime.GOARCH]

// Of struct seccomp_data.
const (
	offsetNumber = 0
	offsetArch   = 4
)

// x32 is the bit of amd64's system calls for programs with 32-bit pointers.
const x32 = 0x40000000

// Exec executes a program in this process's place, for which and for whose children
// all system calls since Linux 4.18 fail with the error. It only returns when it
// cannot. Root's programs may still gain rights; others lose that (no_new_privs).
func Exec(answer unix.Errno, path string, argv, env []string) error {
	if last == 0 {
		return fmt.Errorf("hide system calls: the numbers of %s are not known", runtime.GOARCH)
	}
	// A filter belongs to a thread, and the one that executes takes the process over.
	runtime.LockOSThread()
	if err := hide(answer); err != nil {
		return fmt.Errorf("hide system calls: %w", err)
	}
	return &os.PathError{Op: "execute", Path: path, Err: unix.Exec(path, argv, env)}
}

// hide gives the calling thread the filter.
func hide(answer unix.Errno) error {
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	const allow, jump = unix.SECCOMP_RET_ALLOW, unix.BPF_JMP | unix.BPF_K
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offsetArch},
		{Code: jump | unix.BPF_JEQ, K: arch, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offsetNumber},
		{Code: jump | unix.BPF_JGE, K: x32, Jt: 1},
		{Code: jump | unix.BPF_JGT, K: last, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: allow},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(answer)},
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	install := func() error {
		return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
	}
	err := install()
	if errors.Is(err, unix.EACCES) { // without CAP_SYS_ADMIN
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
		err = install()
	}
	runtime.KeepAlive(program)
	return err
}
