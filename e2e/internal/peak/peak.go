// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package peak measures the memory of a program. What wait4 tells of a process counts also
// what was its memory before it executed the program, and with vfork, that is all of its
// parent's. So a small process is put between.
package peak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"
)

const role = "run-and-tell-the-peak"

// Of runs a program until it ends, with whatever exit code, and returns what it printed and the
// most memory, in bytes, that it had.
func Of(ctx context.Context, program string, args ...string) (printed string, bytesOfMemory int64, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", 0, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return "", 0, err
	}
	defer read.Close()
	var out, told bytes.Buffer
	cmd := exec.CommandContext(ctx, self, append([]string{role, program}, args...)...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &out, &out, []*os.File{write}
	err = cmd.Run()
	write.Close()
	if err != nil {
		return out.String(), 0, fmt.Errorf("run %s: %w: %s", program, err, out.String())
	}
	if _, err := told.ReadFrom(read); err != nil {
		return out.String(), 0, err
	}
	kib, err := strconv.ParseInt(told.String(), 10, 64)
	return out.String(), kib << 10, err
}

// Main is the program of the process between. In any other process it returns at once.
func Main() {
	if len(os.Args) < 3 || os.Args[1] != role {
		return
	}
	if err := tell(os.Args[2], os.Args[3:]...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func tell(program string, args ...string) error {
	cmd := exec.CommandContext(context.Background(), program, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		return err
	}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &usage); err != nil {
		return err
	}
	_, err := fmt.Fprint(os.NewFile(3, "peak"), usage.Maxrss)
	return err
}
