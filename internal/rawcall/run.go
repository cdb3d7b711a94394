// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rawcall

import (
	"syscall"
	"unsafe"
)

// All of this file runs in a child after the fork (see the package comment). No pointer
// may be written to memory, since the collector may want to know of it, nothing be
// copied by copy, which the race detector makes a call of the runtime's, and no slice be
// indexed: the linker counts the stack that the panic would take, and there is little
// (nosplit). So few functions call each other here.

// ErrDiffers is the error of a comparison.
const ErrDiffers = syscall.EBADE

// run returns the number of the step that failed; that of all steps if none did.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (l *List) run() (failed int, errno syscall.Errno) {
	for at := 0; at < len(l.steps); {
		s := *(**Step)(unsafe.Add(unsafe.Pointer(l.first), uintptr(at)*unsafe.Sizeof(l.first)))
		at++
		if s.ifFailed && errno == 0 {
			continue
		}
		switch s.kind {
		case call:
			first := s.args[0]
			if s.on != nil {
				first = uintptr(s.on.value)
			}
			var got uintptr
			got, _, errno = syscall.RawSyscall6(s.trap, first, s.args[1], s.args[2], s.args[3], s.args[4], s.args[5])
			if errno == syscall.EINTR {
				at--
				continue
			}
			if s.into != nil {
				s.into.value = int32(got)
			}
		case count:
			s.number++
			decimal(s.digits, digitsOf(s.number), s.number)
			errno = 0
		default:
			errno = s.compare()
		}
		switch {
		case errno == 0 && s.then != 0:
			at = s.then
		case errno == 0 || s.may:
		case errno == s.exception && s.times > 0:
			s.times--
			at, errno = s.elsewhere, 0
		default:
			return at - 1, errno
		}
	}
	return len(l.steps), 0
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *Step) compare() syscall.Errno {
	switch s.kind {
	case same:
		for i := 0; i < s.words; i++ {
			if word(s.want, i) != word(s.got, i) {
				return ErrDiffers
			}
		}
	case sameSet:
		for i := 0; i < s.words; i++ {
			missing, unwanted := true, true
			for j := 0; j < s.words; j++ {
				missing = missing && word(s.want, i) != word(s.got, j)
				unwanted = unwanted && word(s.got, i) != word(s.want, j)
			}
			if missing || unwanted {
				return ErrDiffers
			}
		}
	case sameFile:
		if s.file.Dev != s.other.Dev || s.file.Ino != s.other.Ino || s.file.Mode&syscall.S_IFMT != syscall.S_IFREG {
			return ErrDiffers
		}
	}
	return 0
}

//go:nosplit
//go:norace
//go:nocheckptr
func word(of *uint32, i int) uint32 { return *(*uint32)(unsafe.Add(unsafe.Pointer(of), 4*i)) }

//go:nosplit
//go:norace
func digitsOf(number uint32) (digits int) {
	for digits = 1; number > 9; number /= 10 {
		digits++
	}
	return digits
}

// decimal writes a number so many digits wide, with blanks in front.
//
//go:nosplit
//go:norace
//go:nocheckptr
func decimal(to *byte, width int, number uint32) {
	for i := width - 1; i >= 0; i-- {
		digit := byte(' ')
		if number > 0 || i == width-1 {
			digit = '0' + byte(number%10)
		}
		*(*byte)(unsafe.Add(unsafe.Pointer(to), i)) = digit
		number /= 10
	}
}

// action is the kernel's struct sigaction for a signal's default: all zero, and the same
// size on amd64 and arm64.
var action [4]uint64

// LastSignal is the highest signal number, SIGRTMAX.
const LastSignal = 64

const (
	sigSetmask = 2
	sigsetSize = 8
)

// ResetSignals gives the process every signal's default, and blocks none. Go's handlers
// end with an exec by themselves, but what was ignored or blocked in an ancestor would
// not.
//
//go:nosplit
//go:norace
func ResetSignals() {
	for sig := uintptr(1); sig <= LastSignal; sig++ {
		syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&action)), 0, sigsetSize, 0, 0)
	}
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, sigSetmask, uintptr(unsafe.Pointer(&action)), 0, sigsetSize, 0, 0)
}

// fork returns in this process only. A signal between the fork and the child's first
// steps would run Go's handler in it, so all are blocked over the fork.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (c *Child) fork() (pid uintptr, errno syscall.Errno) {
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, sigSetmask, c.to.all, c.to.old, sigsetSize, 0, 0)
	if c.to.clone != 0 {
		pid, _, errno = syscall.RawSyscall6(sysClone3, c.to.clone, cloneArgsSize, 0, 0, 0, 0)
	} else {
		pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	}
	if errno != 0 || pid != 0 {
		syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, sigSetmask, c.to.old, 0, sigsetSize, 0, 0)
		return pid, errno
	}
	// This is the child.
	for i := 0; i < c.letters; i++ {
		*(*byte)(unsafe.Add(unsafe.Pointer(c.argument), i)) = *(*byte)(unsafe.Add(unsafe.Pointer(c.word), i))
	}
	ResetSignals()
	failed, errno := c.run()
	decimal(c.stepAt, NumberWidth, uint32(failed))
	decimal(c.errnoAt, NumberWidth, uint32(errno))
	for {
		syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(c.Control), c.to.failure, uintptr(len(c.Failure)), syscall.MSG_NOSIGNAL, 0, 0)
		syscall.RawSyscall6(syscall.SYS_EXIT_GROUP, 127, 0, 0, 0, 0, 0)
	}
}
