// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestAppend_AddsWholeLinesWhoeverElseDoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	line := strings.Repeat("x", 5000) + "\n"
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 20 {
				if err := Append(path, []byte(line)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	data, err := os.ReadFile(path)
	if err != nil || string(data) != strings.Repeat(line, 160) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestAppend_FollowsNoLinkAndWaitsForNoFIFO(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	for name, plant := range map[string]func(path string) error{
		"a link":   func(path string) error { return os.Symlink(victim, path) },
		"a FIFO":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		path := filepath.Join(dir, name)
		if err := plant(path); err != nil {
			t.Fatal(err)
		}
		if err := Append(path, []byte("x\n")); err == nil {
			t.Errorf("%s: appended", name)
		}
	}
	if _, err := os.Stat(victim); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link was followed: %v", err)
	}
}

// A file that may not grow, as on a full disk, is as it was.
func TestAppend_LeavesNoHalf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := Append(path, []byte("whole\n")); err != nil {
		t.Fatal(err)
	}
	limitFileSize(t, 10)
	if err := Append(path, []byte("too long for it\n")); err == nil {
		t.Error("appended over the limit")
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "whole\n" {
		t.Errorf("%q, %v", data, err)
	}
}

// limitFileSize lets files of this process grow to some bytes only, for the test.
func limitFileSize(t *testing.T, bytes uint64) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was) })
}
