// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"syscall"
	"unsafe"
)

// linux/prctl.h
const (
	prSetChildSubreaper = 36
	prSetNoNewPrivs     = 38
	prSetTHPDisable     = 41
	prGetTHPDisable     = 42
)

func prctl(option, value uintptr) (uintptr, error) {
	got, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, option, value, 0, 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return got, nil
}

// becomeSubreaper makes orphans of the task children of this process instead of
// init's, so that none can hide.
func becomeSubreaper() error {
	_, err := prctl(prSetChildSubreaper, 1)
	return err
}

// DisableTHP forbids this process and what it starts transparent huge pages, and
// reports whether they were allowed before. The kernel hands the ban on through
// fork and exec, so whoever starts a supervisor calls this first: with a huge page
// behind each of the Go runtime's arenas the small process would be megabytes
// larger before its first instruction.
func DisableTHP() (allowed bool) {
	got, err := prctl(prGetTHPDisable, 0)
	return err == nil && got == 0 && setTHPDisabled(true) == nil
}

func setTHPDisabled(disabled bool) error {
	value := uintptr(0)
	if disabled {
		value = 1
	}
	_, err := prctl(prSetTHPDisable, value)
	return err
}

// sigaction is the kernel's structure, the same on amd64 and arm64.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// ignoreSignals makes the process survive the signals that ask a process to end. Ignoring them goes
// past Go's runtime, whose way to catch them (os/signal) would cost a thread and
// come late (see the package comment). Nothing inherits it: every signal is
// reset before the exec.
func ignoreSignals() {
	const sigIgn = 1
	act := sigaction{handler: sigIgn}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2} {
		syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&act)), 0, unsafe.Sizeof(act.mask), 0, 0)
	}
}

// pollFD is struct pollfd.
type pollFD struct {
	fd      int32
	events  int16
	revents int16
}

// waitHangup waits until the other end of a socket or of a pipe is closed,
// and returns which one it was.
func waitHangup(fds ...int) int {
	const pollRDHUP = 0x2000
	poll := make([]pollFD, len(fds))
	for i, fd := range fds {
		poll[i] = pollFD{fd: int32(fd), events: pollRDHUP}
	}
	for {
		n, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&poll[0])), uintptr(len(poll)), 0, 0, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 || n == 0 {
			return -1
		}
		for _, p := range poll {
			if p.revents != 0 {
				return int(p.fd)
			}
		}
	}
}
