// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Append adds data at the end of the file at path in one write, and returns when it is
// on the disk. It makes the file where there is none, for this process's user alone
// (0600), and follows no link. Where the write fails the file is as it was. After a power
// cut a part of the data may be there: what follows must be told apart from it.
func Append(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return fmt.Errorf("append: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("append to %s: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("append to %s: not a regular file", path)
	}
	if err := appendOnce(f, data); err != nil {
		return fmt.Errorf("append to %s: %w", path, errors.Join(err, f.Truncate(info.Size())))
	}
	if info.Size() > 0 {
		return nil
	}
	dir, _ := splitPath(path)
	return SyncDir(dir) // it may be new
}

// appendOnce writes data by one system call: with O_APPEND nothing comes between.
func appendOnce(f *os.File, data []byte) error {
	n, err := again(func() (int, error) { return syscall.Write(int(f.Fd()), data) })
	if err != nil {
		return err
	}
	if n < len(data) {
		return io.ErrShortWrite
	}
	return f.Sync()
}
