// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package tamper

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Fill leaves no byte free on a folder's file system.
func Fill(folder string) (undo func() error, err error) {
	path := filepath.Join(folder, "ballast")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("fill the disk: %w", err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return nil, fmt.Errorf("fill the disk: %w", err)
	}
	return func() error { return os.Remove(path) }, f.Close()
}

// Protect covers a folder with a read-only view of itself, where a process and
// everything below it sees it; to undo it, pid may be another process of the same view.
// Files that are open stay as they are: a file system that turns read-only under a
// writer does more, but cannot be made to.
func Protect(folder string, pid func() int) (undo func() error, err error) {
	inside := func(args ...string) error {
		enter := append([]string{"--target", fmt.Sprint(pid()), "--mount", "--"}, args...)
		out, err := exec.Command("nsenter", enter...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, out)
		}
		return nil
	}
	if err := inside("mount", "--bind", folder, folder); err != nil {
		return nil, err
	}
	undo = func() error { return inside("umount", "-l", folder) }
	for began := time.Now(); ; <-time.After(readOnlyPause) {
		err := inside("mount", "-o", "remount,bind,ro", folder)
		switch {
		case err == nil:
			return undo, nil
		case time.Since(began) > readOnlyPatience || !strings.Contains(err.Error(), "busy"):
			return nil, errors.Join(err, undo())
		}
	}
}

// A folder cannot be made read-only while somebody writes there: the driver does, for
// moments.
const (
	readOnlyPatience = 20 * time.Second
	readOnlyPause    = 20 * time.Millisecond
)
