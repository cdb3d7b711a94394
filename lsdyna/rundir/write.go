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
	"time"

	"golang.org/x/sys/unix"
)

// WriteFiles creates the files that a Command needs in the folder.
func (f *Folder) WriteFiles(files map[string][]byte) error {
	for name, content := range files {
		if err := f.WriteFile(name, content); err != nil {
			return err
		}
	}
	return nil
}

// WriteFile puts content under a name, whole or not at all. It is not sure to survive
// a power cut.
func (f *Folder) WriteFile(name string, content []byte) error {
	return f.replace(name, content, transient)
}

// Whether a replaced file must survive a power cut.
const (
	transient = false // the run ends with the power cut, and the file is of no use after it
	synced    = true  // it is on the disk when replace returns
)

// replace puts content under a name, whole or not at all: a new file is created
// exclusively, written, and renamed over whatever has the name. It belongs to whoever
// calls, with whose rights it was created: a file server may let nobody give a file
// away, root neither.
func (f *Folder) replace(name string, content []byte, lasting bool) error {
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
		err = unix.Fchmod(fd, 0o644) // the umask has cut the mode given at creation
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

// folderClock reads the time of a file that was just written to. A variable for tests:
// there is no file server at hand with a clock of its own.
var folderClock = func(fd int) (time.Time, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return time.Time{}, err
	}
	return time.Unix(st.Mtim.Unix()), nil
}

// Now is the time by the clock of the folder's file server, which gives files their
// times: the time of a file that is written for this and removed.
func (f *Folder) Now() (time.Time, error) {
	dir, full := int(f.dir.Fd()), filepath.Join(f.path, ".lsdyna-clock")
	temp := fmt.Sprintf(".lsdyna-clock.%d.%x", os.Getpid(), randomName())
	fd, err := unix.Openat(dir, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return time.Time{}, &os.PathError{Op: "create", Path: full, Err: err}
	}
	file := os.NewFile(uintptr(fd), full)
	_, err = file.Write([]byte{'\n'})
	var now time.Time
	if err == nil {
		now, err = folderClock(fd)
	}
	_ = unix.Unlinkat(dir, temp, 0)
	if err = errors.Join(err, file.Close()); err != nil {
		return time.Time{}, &os.PathError{Op: "write", Path: full, Err: err}
	}
	return now, nil
}

func randomName() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}
