// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package durable

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadFile_TakesNothingButAModestFile(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if err := WriteFile(good, []byte("1\n")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		plant func(path string) error
		want  string
	}{
		"a link":             {func(path string) error { return os.Symlink(good, path) }, "too many levels of symbolic links"},
		"a link to a device": {func(path string) error { return os.Symlink("/dev/zero", path) }, "too many levels of symbolic links"},
		"a FIFO":             {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "not a regular file"},
		"a folder":           {func(path string) error { return os.Mkdir(path, 0o700) }, "not a regular file"},
		"too much": {func(path string) error {
			return os.WriteFile(path, append([]byte("1\n"), bytes.Repeat([]byte(" "), limit)...), 0o600)
		}, "larger than"},
	} {
		path := filepath.Join(dir, name)
		if err := c.plant(path); err != nil {
			t.Fatal(err)
		}
		if data, err := ReadFile(path, limit); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if _, err := ReadFile(filepath.Join(dir, "nothing"), limit); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestWriteFile_ReplacesALink(t *testing.T) {
	dir := t.TempDir()
	victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "pid")
	if err := os.WriteFile(victim, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("1\n")); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(victim); string(data) != "untouched" {
		t.Error("the link was followed")
	}
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	linked := filepath.Join(t.TempDir(), "dir")
	if err := os.Symlink(dir, linked); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(linked, "pid"), []byte("2\n")); err == nil {
		t.Error("a directory that is a link was followed")
	}
}

// Files in /proc have no size; a file may also be exactly as large as the limit.
func TestReadFile_ReadsAllThatThereIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, size := range []int{0, 1, 1023, 1024, 1025, limit - 1, limit} {
		want := bytes.Repeat([]byte("x"), size)
		if err := WriteFile(path, want); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadFile(path, limit); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
	}
	if got, err := ReadFile("/proc/self/stat", limit); err != nil || len(got) == 0 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSyncDir(t *testing.T) {
	dir := t.TempDir()
	if err := SyncDir(dir); err != nil {
		t.Error(err)
	}
	if err := SyncDir(filepath.Join(dir, "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
