// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package signals knows the words by which shells, launchers, runtimes and the kernel name
// the signal that ended a process.
package signals

import (
	"fmt"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/fortran"
)

// crashes are the signals by which a process dies of its own doing. By any other
// somebody ended it.
var crashes = []syscall.Signal{
	unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGSYS,
}

// IsCrash reports whether a process that a signal ended died of its own doing.
func IsCrash(signal int) bool { return slices.Contains(crashes, syscall.Signal(signal)) }

// signalWord is what a shell, a launcher or a runtime calls a signal, in lower case.
type signalWord struct {
	word   string
	signal syscall.Signal
}

// shellWords are the names that shells print of a process that a signal ended.
var shellWords = []signalWord{
	{"segmentation fault", unix.SIGSEGV},
	{"memory fault", unix.SIGSEGV}, // ksh
	{"bus error", unix.SIGBUS},
	{"floating point exception", unix.SIGFPE},
	{"floating exception", unix.SIGFPE}, // csh
	{"arithmetic exception", unix.SIGFPE},
	{"illegal instruction", unix.SIGILL},
	{"illegal hardware instruction", unix.SIGILL}, // zsh
	{"aborted", unix.SIGABRT},
	{"abort trap", unix.SIGABRT}, // macOS
	{"abort", unix.SIGABRT},      // zsh, csh
	{"trace/breakpoint trap", unix.SIGTRAP},
	{"bad system call", unix.SIGSYS},
	{"killed", unix.SIGKILL},
	{"terminated", unix.SIGTERM},
	{"hangup", unix.SIGHUP},
	{"interrupt", unix.SIGINT},
	{"quit", unix.SIGQUIT},
	{"user defined signal 1", unix.SIGUSR1},
	{"user defined signal 2", unix.SIGUSR2},
	{"cpu time limit exceeded", unix.SIGXCPU},
	{"cputime limit exceeded", unix.SIGXCPU},
	{"cpu limit exceeded", unix.SIGXCPU},
	{"file size limit exceeded", unix.SIGXFSZ},
	{"filesize limit exceeded", unix.SIGXFSZ},
}

// runtimeWords are names of signals that stand anywhere in a line.
var runtimeWords = []signalWord{
	{"sigsegv", unix.SIGSEGV},
	{"sigbus", unix.SIGBUS},
	{"sigfpe", unix.SIGFPE},
	{"sigill", unix.SIGILL},
	{"sigabrt", unix.SIGABRT},
	{"sigkill", unix.SIGKILL},
	{"sigterm", unix.SIGTERM},
	{"sigint", unix.SIGINT},
	{"sighup", unix.SIGHUP},
	{"sigquit", unix.SIGQUIT},
	{"sigxcpu", unix.SIGXCPU},
	{"sigxfsz", unix.SIGXFSZ},
	{"sigtrap", unix.SIGTRAP},
	{"sigusr1", unix.SIGUSR1},
	{"sigusr2", unix.SIGUSR2},
	{"sigpipe", unix.SIGPIPE},
	{"access violation", unix.SIGSEGV},
	{"c0000005", unix.SIGSEGV},
	{"segmentation violation", unix.SIGSEGV},
	{"floating-point exception", unix.SIGFPE},
}

// maxSignal is the largest number that is taken for a signal.
const maxSignal = 64

// In is the signal that a text names, by its name or number; 0 for none.
func In(text string) int {
	lower := strings.ToLower(text)
	for _, w := range runtimeWords {
		if strings.Contains(lower, w.word) {
			return int(w.signal)
		}
	}
	if n := Number(lower); n != 0 {
		return n
	}
	for _, w := range shellWords {
		if strings.Contains(lower, w.word) {
			return int(w.signal)
		}
	}
	return 0
}

// Number reads "signal 9", "signal: 9 (Killed)" and "signal termination: 9".
func Number(lower string) int {
	for rest := lower; ; {
		_, after, found := strings.Cut(rest, "signal")
		if !found {
			return 0
		}
		rest = after
		after = strings.TrimLeft(strings.TrimPrefix(after, " termination"), ": ")
		if n := Leading(after); n > 0 && n <= maxSignal {
			return n
		}
	}
}

// Leading is the number at the beginning of a text, -1 if there is none.
func Leading(text string) int {
	end := 0
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	n, ok := fortran.Integer([]byte(text[:end]))
	if !ok || end > 9 {
		return -1
	}
	return int(n)
}

// OfShell is the signal of which a shell's word begins a text; 0 for none.
func OfShell(lower string) int {
	for _, w := range shellWords {
		rest, found := strings.CutPrefix(lower, w.word)
		if found && (rest == "" || strings.IndexByte(" (:\t", rest[0]) >= 0) {
			return int(w.signal)
		}
	}
	return 0
}

// PassedOn is the signal that an exit code stands for, as shells and most launchers pass
// one on; 0 for none.
func PassedOn(code int) int {
	if code > 128 && code <= 128+maxSignal {
		return code - 128
	}
	return 0
}

// Name is what a user reads of a signal: "signal 9 (SIGKILL)".
func Name(n int) string {
	if name := unix.SignalName(syscall.Signal(n)); name != "" {
		return fmt.Sprintf("signal %d (%s)", n, name)
	}
	return fmt.Sprintf("signal %d", n)
}
