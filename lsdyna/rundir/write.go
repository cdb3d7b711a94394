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
	synced    = true  // it is on the disk when replace returns
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
