// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"os"
	"syscall"
	"testing"
)

// Each way to keep descriptors from the solver finds one that would pass.
func TestKeepDescriptors(t *testing.T) {
	for name, keep := range map[string]func() error{
		"as this kernel has it": keepDescriptors,
		"listed in /proc":       func() error { return keepListed("/proc/self/fd") },
		"tried one by one":      func() error { return keepBelow(1024) },
	} {
		t.Run(name, func(t *testing.T) {
			fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY, 0) // passes
			if err != nil {
				t.Fatal(err)
			}
			defer syscall.Close(fd)
			if err := keep(); err != nil {
				t.Fatal(err)
			}
			if flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0); errno != 0 || flags&syscall.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %d has flags %d (%v)", fd, flags, errno)
			}
		})
	}
	for fd := range 3 {
		if flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0); errno == 0 && flags&syscall.FD_CLOEXEC != 0 {
			t.Errorf("standard stream %d was taken, too", fd)
		}
	}
	if err := keepListed("/nonexistent"); err == nil {
		t.Error("a list that is not there is no error")
	}
	// What cannot be tried within a moment is not left to luck.
	if err := keepBelow(1 << 30); err == nil {
		t.Error("a thousand million descriptors were tried")
	}
}
