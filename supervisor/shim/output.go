// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// redirect opens the output files in the current directory, as the user,
// passes read-only descriptors of them back, and makes them standard output and
// error.
func (o *StageOrder) redirect(control *conn) error {
	out, outRead, err := openOutput(o.Stdout)
	if err != nil {
		return err
	}
	failed, failedRead := out, outRead
	if o.Stderr != o.Stdout {
		if failed, failedRead, err = openOutput(o.Stderr); err != nil {
			return err
		}
	}
	if err := control.send(StageReport{Ready: true}); err != nil {
		return fmt.Errorf("report to the supervisor: %w", err)
	}
	files := []int{outRead, failedRead}
	if err := control.sendFiles(files[:outputs(o.Stdout, o.Stderr)]...); err != nil {
		return fmt.Errorf("pass output files to the supervisor: %w", err)
	}
	for target, fd := range map[int]int{1: out, 2: failed} {
		if err := syscall.Dup3(fd, target, 0); err != nil {
			return fmt.Errorf("redirect output: %w", err)
		}
	}
	return nil
}

// outputs is how many output files there are: one name may stand for both.
func outputs(stdout, stderr string) int {
	if stdout == stderr {
		return 1
	}
	return 2
}

// openOutput creates a new regular file in the current directory and returns
// a descriptor to append to it and one to read it. What had the name keeps its
// content under another; a link or a FIFO that somebody planted is moved
// aside, not followed or opened.
func openOutput(name string) (write, read int, err error) {
	const flags = syscall.O_NOFOLLOW | syscall.O_CLOEXEC | syscall.O_NONBLOCK
	for range 16 {
		if err := moveAside(name); err != nil {
			return -1, -1, fmt.Errorf("keep the former output file %s: %w", name, err)
		}
		write, err = syscall.Open(name, syscall.O_WRONLY|syscall.O_APPEND|syscall.O_CREAT|syscall.O_EXCL|flags, 0o644)
		if err != syscall.EEXIST {
			break
		}
	}
	if err != nil {
		return -1, -1, fmt.Errorf("create output file %s: %w", name, err)
	}
	read, err = syscall.Open(name, syscall.O_RDONLY|flags, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("open output file %s for reading: %w", name, err)
	}
	var w, r syscall.Stat_t
	if err := errors.Join(syscall.Fstat(write, &w), syscall.Fstat(read, &r)); err != nil {
		return -1, -1, fmt.Errorf("open output file %s: %w", name, err)
	}
	if w.Dev != r.Dev || w.Ino != r.Ino || r.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return -1, -1, fmt.Errorf("open output file %s: somebody exchanged it", name)
	}
	// The solver gets an ordinary file, in case it is handed on to a
	// program that minds.
	if err := syscall.SetNonblock(write, false); err != nil {
		return -1, -1, fmt.Errorf("open output file %s: %w", name, err)
	}
	return write, read, nil
}

// moveAside renames name to the first free of name.1, name.2, …
func moveAside(name string) error {
	if _, err := os.Lstat(name); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	for n := 1; ; n++ {
		free := name + "." + strconv.Itoa(n)
		_, err := os.Lstat(free)
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		err = os.Rename(name, free) //nolint:forbidigo // the user's own file, moved aside
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
}
