// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// Folder is the folder that a solver runs in, opened once and safely: every
// later access goes through the open folder, so that renaming a parent or
// planting a symbolic link leads nowhere.
type Folder struct {
	dir  *os.File
	path string
}

// ErrNotRegular is wrapped by errors about a name in a run folder that is not a
// regular file: a link, FIFO, socket, device or directory.
var ErrNotRegular = errors.New("not a regular file")

// Open opens the folder rel below base. The path base is trusted; rel
// is the user's: it must stay below base, and none of its parts may be a
// symbolic link, because below a folder that several users share a link could
// lead into somebody else's run. rel may be "." for base itself.
func Open(base, rel string) (*Folder, error) {
	if !filepath.IsLocal(rel) {
		return nil, fmt.Errorf("run folder %q leads out of %s; give a path below it", rel, base)
	}
	fd, err := unix.Open(base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: base, Err: err}
	}
	walked := base
	for part := range strings.SplitSeq(filepath.Clean(rel), "/") {
		if part == "." {
			continue
		}
		walked = filepath.Join(walked, part)
		next, err := unix.Openat(fd, part, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		_ = unix.Close(fd)
		switch {
		case err == unix.ELOOP || err == unix.ENOTDIR:
			return nil, fmt.Errorf("run folder %s: %s is a symbolic link or no folder; name the folder itself", rel, walked)
		case err != nil:
			return nil, &os.PathError{Op: "open", Path: walked, Err: err}
		}
		fd = next
	}
	return &Folder{dir: os.NewFile(uintptr(fd), walked), path: walked}, nil
}

// OpenBelow opens an absolute path that lies below one of the trusted
// roots, with the rules of Open.
func OpenBelow(roots []string, path string) (*Folder, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("run folder %q is not an absolute path", path)
	}
	for _, root := range roots {
		rel, err := filepath.Rel(filepath.Clean(root), filepath.Clean(path))
		if err == nil && filepath.IsLocal(rel) && filepath.IsAbs(root) {
			return Open(root, rel)
		}
	}
	return nil, fmt.Errorf("run folder %q is not below one of the agent's work_roots %q; ask the operator to add it, or use a path below the task directory", path, roots)
}

// Path is the folder's path as it was opened, for messages and for a process's
// working directory. Nothing in this package opens anything by it.
func (f *Folder) Path() string { return f.path }

// Dir opens the folder itself once more, e.g. to hand it to a process as
// working directory.
func (f *Folder) Dir() (*os.File, error) {
	fd, err := unix.Openat(int(f.dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: f.path, Err: err}
	}
	return os.NewFile(uintptr(fd), f.path), nil
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
// link and never blocks: what is not a regular file is not opened at all, and
// what became something else in between is opened without waiting and dropped.
func (f *Folder) Open(name string) (*os.File, error) {
	if err := f.plainName(name); err != nil {
		return nil, err
	}
	if _, err := f.stat(name); err != nil {
		return nil, err
	}
	full := filepath.Join(f.path, name)
	fd, err := unix.Openat(int(f.dir.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
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

// stat looks at an entry without following it; anything but a regular file is
// an ErrNotRegular.
func (f *Folder) stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	full := filepath.Join(f.path, name)
	if err := unix.Fstatat(int(f.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return st, &os.PathError{Op: "stat", Path: full, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return st, &os.PathError{Op: "stat", Path: full, Err: ErrNotRegular}
	}
	return st, nil
}

// keptGenerations bounds how many earlier files of a name Create keeps.
const keptGenerations = 99

// Create creates a fresh file in the folder, open for writing, e.g. for the
// solver's stdout. Whatever has the name now, also a link or a FIFO, is renamed
// to name.1, name.2, … and not touched otherwise. uid and gid below 0 leave the
// owner alone.
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

// giveTo hands an open file to its owner. The mode comes last and on its own,
// because the umask has cut the one given at creation.
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
			err = renameToFree(dir, name, aside) // NFS, for one, knows no RENAME_NOREPLACE
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

// What is to become of a replaced file when the power is cut.
const (
	transient = false // the run is lost then, and with it the file's purpose
	durable   = true  // it is on the disk when replace returns
)

// replace puts content under a name, whole or not at all: an exclusive new file
// is filled, given away and renamed over whatever has the name.
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

// CheckInput reports, in words for the user, why name cannot be the deck.
func (f *Folder) CheckInput(name string) error {
	if err := lsdyna.ValidatePath("input", name); err != nil {
		return err
	}
	file, err := f.openInput(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("input %s is not in the run folder %s; check work_dir, and that the artifact or template puts it there", name, f.path)
	case err != nil:
		return fmt.Errorf("input %s cannot be used: %w", name, err)
	}
	defer file.Close()
	if n, err := file.Read(make([]byte, 1)); n == 0 && errors.Is(err, io.EOF) {
		return fmt.Errorf("input %s is empty", name)
	}
	return nil
}

// openInput opens a deck, which may lie in a folder below the run folder. Links
// are followed as long as they stay inside.
func (f *Folder) openInput(name string) (*os.File, error) {
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", f.dir.Fd()))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		return nil, err
	}
	file, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = file.Close()
		return nil, errors.Join(err, ErrNotRegular)
	}
	return file, nil
}
