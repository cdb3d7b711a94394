// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package credstest runs tests as a root that no file server trusts: with
// root_squash it has the rights of nobody there. The kernel has no such root, but one
// without the capabilities to pass over file modes and to give files away comes close:
// what is not done with a user's rights fails.
package credstest

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// squashedEnv says in a process's environment that its root is squashed.
const squashedEnv = "CREDSTEST_SQUASHED"

// lacking is what a file server does not grant to a squashed root: CAP_CHOWN,
// CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_FOWNER (linux/capability.h).
var lacking = []uintptr{0, 1, 2, 3}

const prCapbsetDrop = 24 // linux/prctl.h

// IsSquashed reports whether this process's root is squashed.
func IsSquashed() bool { return os.Getenv(squashedEnv) != "" }

// Squashed reports whether the test runs as a squashed root. Where it does not yet,
// it is run once more in a process that does, and fails with it. Without root it is
// skipped.
func Squashed(t *testing.T) bool {
	t.Helper()
	if IsSquashed() {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("a squashed root needs root")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v=true", "-test.count=1")
	cmd.Env = append(os.Environ(), squashedEnv+"=1")
	out, err := combined(cmd)
	if err != nil {
		t.Fatalf("as a squashed root: %v\n%s", err, out)
	}
	return false
}

// combined runs a command as a squashed root and returns what it printed.
func combined(cmd *exec.Cmd) (out []byte, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread has lost the capabilities for good: it ends with the goroutine.
		runtime.LockOSThread()
		for _, c := range lacking {
			if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prCapbsetDrop, c, 0, 0, 0, 0); errno != 0 {
				err = os.NewSyscallError("prctl", errno)
				return
			}
		}
		out, err = cmd.CombinedOutput()
	}()
	<-done
	return out, err
}
