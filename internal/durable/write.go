// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package durable

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// disk is the part of the file system that a write needs. The kernel is one
// implementation. The crash test's is another: it forgets what was not synced.
type disk interface {
	openDir(path string) (fd int, err error)
	create(dir int, name string) (fd int, err error)
	write(fd int, p []byte) (int, error)
	fsync(fd int) error
	close(fd int) error
	rename(dir int, from, to string) error
	unlink(dir int, name string) error
}

// WriteFile replaces the file at path whole: a reader, also after a crash at any
// moment, finds the old content or the new. When it returns, the new content is on
// the disk. The file belongs to this process's user alone (0600). A link at path is
// replaced, not followed.
func WriteFile(path string, data []byte) error {
	if err := writeWhole(kernel{}, path, data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func writeWhole(d disk, path string, data []byte) (err error) {
	dirPath, name := splitPath(path)
	dir, err := d.openDir(dirPath)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	defer d.close(dir)

	temp, fd, err := createTemporary(d, dir, name)
	if err != nil {
		return fmt.Errorf("create temporary file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = d.unlink(dir, temp)
		}
	}()
	if err := fill(d, fd, data); err != nil {
		d.close(fd)
		return err
	}
	if err := d.close(fd); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if err := d.rename(dir, temp, name); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	// Without this the rename may be lost with the power, and the record
	// of a solver that runs would be its predecessor's.
	if err := d.fsync(dir); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// SyncDir makes the entries of a directory survive a power cut.
func SyncDir(path string) error {
	dir, err := kernel{}.openDir(path)
	if err != nil {
		return fmt.Errorf("open directory %s: %w", path, err)
	}
	defer syscall.Close(dir)
	if err := (kernel{}).fsync(dir); err != nil {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}

func fill(d disk, fd int, data []byte) error {
	for len(data) > 0 {
		n, err := d.write(fd, data)
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		data = data[n:]
	}
	if err := d.fsync(fd); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

var temporaries atomic.Uint64

// createTemporary makes a file whose name no other writer uses, so that two
// writers of one record never rename each other's half.
func createTemporary(d disk, dir int, name string) (string, int, error) {
	for {
		temp := "." + name + "." + strconv.Itoa(os.Getpid()) + "." + strconv.FormatUint(temporaries.Add(1), 10) + ".tmp"
		fd, err := d.create(dir, temp)
		if errors.Is(err, syscall.EEXIST) {
			continue // left by a process of the same id that was killed
		}
		return temp, fd, err
	}
}

// splitPath avoids path/filepath, whose initialisation comes late (see the
// package comment).
func splitPath(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	switch {
	case i < 0:
		return ".", path
	case i == 0:
		return "/", path[1:]
	}
	return path[:i], path[i+1:]
}

// kernel is the disk that WriteFile uses.
type kernel struct{}

func (kernel) openDir(path string) (int, error) {
	return again(func() (int, error) {
		return syscall.Open(path, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	})
}

func (kernel) create(dir int, name string) (int, error) {
	return again(func() (int, error) {
		return syscall.Openat(dir, name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
	})
}

func (kernel) write(fd int, p []byte) (int, error) {
	return again(func() (int, error) { return syscall.Write(fd, p) })
}

func (kernel) fsync(fd int) error {
	_, err := again(func() (int, error) { return 0, syscall.Fsync(fd) })
	return err
}

func (kernel) close(fd int) error                    { return syscall.Close(fd) }
func (kernel) rename(dir int, from, to string) error { return syscall.Renameat(dir, from, dir, to) }
func (kernel) unlink(dir int, name string) error     { return syscall.Unlinkat(dir, name) }
