// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Command oldkernel executes a program for which the kernel has no system call that
// Linux 4.18 does not have. `go test -exec` runs test binaries by it.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/kerneltest"
)

func main() {
	denied := flag.Bool("denied", false, "answer EPERM, as the seccomp profiles of older container engines do, in place of ENOSYS")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: oldkernel [-denied] PROGRAM ARGUMENT…")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, run(*denied, flag.Args()))
	os.Exit(1)
}

// run only returns when it cannot execute the program.
func run(denied bool, argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	answer := map[bool]unix.Errno{false: kerneltest.Unknown, true: kerneltest.Denied}[denied]
	return kerneltest.Exec(answer, path, argv, os.Environ())
}
