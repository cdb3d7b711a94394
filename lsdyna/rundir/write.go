// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Owner is the user and group that a written file is given to; negative numbers
// leave it alone.
type Owner struct{ UID, GID int }

// NoOwner leaves a written file to the process that writes it.
var NoOwner = Owner{UID: -1, GID: -1}

// keptGenerations bounds how many earlier files of a name Create keeps.
const keptGenerations = 99

// Create creates a fresh file in the folder, open for writing, e.g. for the
// solver's stdout. Whatever has the name now, also a link or a FIFO, is renamed
// to name.1, name.2, … and not touched otherwise.
func (f *Folder) Create(name string, perm os.FileMode, owner Owner) (*os.File, error) {
	if err := f.plainName(name); err != nil {
		return nil, err
	}
	if err := f.moveAside(name); err != nil {
		return nil, err
	}
	full := filepath.Join(f.path, name)
	fd, err := unix.Openat(int(f.dir.Fd()), name, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(perm.Perm()))
	if err != nil {
		return nil, &os.PathError{Op: "create", Path: full, Err: err}
	}
	file := os.NewFile(uintptr(fd), full)
	if err := giveTo(fd, perm, owner); err != nil {
		_ = file.Close()
		_ = unix.Unlinkat(int(f.dir.Fd()), name, 0)
		return nil, fmt.Errorf("give %s to the task's user: %w", full, err)
	}
	return file, nil
}

// giveTo gives an open file to its owner. The mode is set after that: the umask has
// cut the one given at creation.
func giveTo(fd int, perm os.FileMode, owner Owner) error {
	if owner.UID >= 0 || owner.GID >= 0 {
		if err := unix.Fchown(fd, max(owner.UID, -1), max(owner.GID, -1)); err != nil {
			return err
		}
	}
	return unix.Fchmod(fd, uint32(perm.Perm()))
}

func (f *Folder) moveAside(name string) error {
	dir := int(f.dir.Fd())
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	for i := 1; err == nil && i <= keptGenerations; i++ {
		aside := fmt.Sprintf("%s.%d", name, i)
		err = unix.Renameat2(dir, name, dir, aside, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
			err = renameToFree(dir, name, aside) // e.g. NFS has no RENAME_NOREPLACE
		}
		switch {
		case err == nil, errors.Is(err, unix.ENOENT):
			return nil
		case errors.Is(err, unix.EEXIST):
			err = nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%d older files of that name are there already; remove some", keptGenerations)
	}
	return &os.PathError{Op: "move aside", Path: filepath.Join(f.path, name), Err: err}
}

// renameToFree renames an entry, unless the new name is taken.
func renameToFree(dir int, from, to string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, to, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		return unix.EEXIST
	}
	return unix.Renameat(dir, from, dir, to)
}

// WriteFiles creates the files that a Command needs in the folder, owned by the
// task's user.
func (f *Folder) WriteFiles(files map[string][]byte, owner Owner) error {
	for name, content := range files {
		if err := f.replace(name, content, 0o644, owner, transient); err != nil {
			return err
		}
	}
	return nil
}

// Whether a replaced file must survive a power cut.
const (
	transient = false // the run ends with the power cut, and the file is of no use after it
	durable   = true  // it is on the disk when replace returns
)

// replace puts content under a name, whole or not at all: a new file is created
// exclusively, written, given to its owner, and renamed over whatever has the name.
func (f *Folder) replace(name string, content []byte, perm os.FileMode, owner Owner, lasting bool) error {
	if err := f.plainName(name); err != nil {
		return err
	}
	dir := int(f.dir.Fd())
	full := filepath.Join(f.path, name)
	temp := fmt.Sprintf(".%s.%d.%x", strings.TrimPrefix(name, "."), os.Getpid(), randomName())
	fd, err := unix.Openat(dir, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "create", Path: full, Err: err}
	}
	file := os.NewFile(uintptr(fd), full)
	_, err = file.Write(content)
	if err == nil {
		err = giveTo(fd, perm, owner)
	}
	if err == nil && lasting {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = unix.Renameat(dir, temp, dir, name)
	}
	if err != nil {
		_ = unix.Unlinkat(dir, temp, 0)
		return &os.PathError{Op: "write", Path: full, Err: err}
	}
	if lasting {
		// Not every file system can sync a directory.
		if err := f.dir.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
			return &os.PathError{Op: "sync", Path: f.path, Err: err}
		}
	}
	return nil
}

func randomName() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}
