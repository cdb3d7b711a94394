// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Folder is the folder that a solver runs in, opened once. Every later access goes
// through the open descriptor, so that it stays the same folder when a parent is
// renamed or replaced by a symbolic link.
type Folder struct {
	dir  *os.File
	path string

	answers atomic.Int64 // see Answers
}

// ErrNotRegular is wrapped by errors about a name in a run folder that is not a
// regular file: a link, FIFO, socket, device or directory.
var ErrNotRegular = errors.New("not a regular file")

// Open opens the folder rel below base. The path base is trusted; rel is the
// user's. It must stay below base, and none of its parts may be a symbolic link: in
// a folder that several users share, a link could lead into another user's run. rel
// may be "." for base itself.
//
// The way there needs to be searched only, as the solver does, and the folder itself
// to be read.
func Open(base, rel string) (*Folder, error) {
	if !filepath.IsLocal(rel) {
		return nil, fmt.Errorf("run folder %q leads out of %s; give a path below it", rel, base)
	}
	fd, err := unix.Open(base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: base, Err: err}
	}
	walked := base
	for part := range strings.SplitSeq(filepath.Clean(rel), "/") {
		if part == "." {
			continue
		}
		walked = filepath.Join(walked, part)
		next, err := unix.Openat(fd, part, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		_ = unix.Close(fd)
		switch {
		case err == unix.ELOOP || err == unix.ENOTDIR:
			return nil, fmt.Errorf("run folder %s: %s is a symbolic link or no folder; name the folder itself", rel, walked)
		case err != nil:
			return nil, &os.PathError{Op: "open", Path: walked, Err: err}
		}
		fd = next
	}
	defer func() { _ = unix.Close(fd) }()
	dir, err := openDir(fd, walked)
	if err != nil {
		return nil, err
	}
	return &Folder{dir: dir, path: walked}, nil
}

// DirID tells folders apart whatever paths lead to them. The zero value is none.
type DirID struct{ Dev, Ino uint64 }

// ID returns which folder it is; the zero value where its file system does not say.
func (f *Folder) ID() DirID {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.dir.Fd()), &st); err != nil {
		return DirID{}
	}
	return DirID{Dev: uint64(st.Dev), Ino: st.Ino} //nolint:unconvert // a type of its own on some architectures
}

// Removed reports whether the folder was removed since it was opened. Nothing is certain
// where it is false: not every file system counts the names of a folder.
func (f *Folder) Removed() bool {
	var st unix.Stat_t
	return unix.Fstat(f.Fd(), &st) == nil && st.Nlink == 0
}

// Path is the folder's path as it was opened, for messages and for a process's
// working directory. Nothing in this package opens anything by it.
func (f *Folder) Path() string { return f.path }

// Dir opens the folder itself once more, e.g. to hand it to a process as
// working directory.
func (f *Folder) Dir() (*os.File, error) { return openDir(int(f.dir.Fd()), f.path) }

// Answers returns how many times the file system has answered while the folder's files
// were looked for and read: it grows as long as something is read, however slowly. It
// may be called from any goroutine.
func (f *Folder) Answers() int64 { return f.answers.Load() }

// Fd is the folder's descriptor, for system calls that take one. It stays the
// Folder's.
func (f *Folder) Fd() int { return int(f.dir.Fd()) }

// openDir opens a folder once more for reading. path is for messages.
func openDir(fd int, path string) (*os.File, error) {
	again, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(again), path), nil
}

// Close closes the folder.
func (f *Folder) Close() error { return f.dir.Close() }

// plainName refuses everything that is not the name of an entry of the folder.
func (f *Folder) plainName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%q is not the name of a file in %s", name, f.path)
	}
	return nil
}

// Open opens a regular file directly in the folder for reading. It follows no
// link and never waits for a FIFO or a device: what is not a regular file is not
// opened at all, and what became something else in between is opened without
// waiting and closed again.
func (f *Folder) Open(name string) (*os.File, error) {
	if _, err := f.stat(name); err != nil {
		return nil, err
	}
	full := filepath.Join(f.path, name)
	fd, err := unix.Openat(int(f.dir.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	f.answers.Add(1)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: full, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		_ = unix.Close(fd)
		return nil, &os.PathError{Op: "open", Path: full, Err: errors.Join(err, ErrNotRegular)}
	}
	return os.NewFile(uintptr(fd), full), nil
}

// stat gets the state of an entry and does not follow links. Anything but a regular
// file is an ErrNotRegular.
func (f *Folder) stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := f.plainName(name); err != nil {
		return st, err
	}
	full := filepath.Join(f.path, name)
	err := unix.Fstatat(int(f.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	f.answers.Add(1)
	if err != nil {
		return st, &os.PathError{Op: "stat", Path: full, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return st, &os.PathError{Op: "stat", Path: full, Err: ErrNotRegular}
	}
	return st, nil
}
