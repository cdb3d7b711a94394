// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package public

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// lockName is the file whose lock makes a status_dir one plugin's. Only the agent's user
// can open it.
const lockName = "plugin.lock"

// Dir is a status_dir that this process writes. It belongs to one goroutine.
type Dir struct {
	root *os.Root
	path string
	lock *os.File
	uid  int // this process's user
	last map[string][]byte
}

// Open takes a status_dir, and makes it where it is missing. Every folder on the way
// belongs to root or this process's user, and nobody else may write there. The error wraps
// durable.ErrHeld while another plugin has it.
func Open(path string) (*Dir, error) {
	if err := state.CheckWay("status_dir", path); err != nil {
		return nil, err
	}
	if err := makeDir(path); err != nil {
		return nil, fmt.Errorf("make status_dir: %w", err)
	}
	if err := check(path); err != nil {
		return nil, err
	}
	lock, err := durable.Lock(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("take status_dir: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open status_dir: %w", err), durable.Unlock(lock))
	}
	return &Dir{root: root, path: path, lock: lock, uid: os.Geteuid(), last: map[string][]byte{}}, nil
}

// makeDir makes a folder that everybody may enter, whatever the agent's umask. One that is
// there keeps its mode.
func makeDir(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(path, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Chmod(0o755), dir.Close())
}

// check refuses a folder in which somebody else could put other files.
func check(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("check status_dir: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("status_dir %s is not a folder", path)
	case ok && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("status_dir %s belongs to uid %d, not to the agent's uid %d; name another", path, st.Uid, os.Geteuid())
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("status_dir %s has mode %04o, so others can write there; chmod 0755 it", path, info.Mode().Perm())
	}
	return nil
}

// Close gives the folder back. What was told stays there, and says when it was.
func (d *Dir) Close() error { return errors.Join(d.root.Close(), durable.Unlock(d.lock)) }

// Write replaces what is told: to everybody, and to each user, by his number. Files that
// are as they were are not written; those of users of whom there is nothing to tell are
// removed.
func (d *Dir) Write(n Node, users map[int]Tasks) error {
	files := map[string]owned{}
	n.Version = version
	data, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode status: %w", err)
	}
	var errs []error
	for uid, t := range users {
		t.Version, t.Writer, t.UID = version, n.Writer, uid
		data, err := json.Marshal(t)
		if err == nil && len(data) > maxTasks {
			err = errors.New("too much")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("encode the status of uid %d: %w", uid, err))
			continue
		}
		files[tasksName(uid)] = owned{data, uid, 0o400}
	}
	for name, f := range files {
		errs = append(errs, d.replace(name, f))
	}
	// The node last: it says when all of it was written.
	errs = append(errs, d.removeOthers(files), d.replace(nodeName, owned{data, -1, 0o444}))
	return errors.Join(errs...)
}

// owned is the content of a file for one user; -1: for all.
type owned struct {
	data []byte
	uid  int
	mode fs.FileMode
}

// replace puts a file under a name, whole or not at all. It need not survive a power cut.
func (d *Dir) replace(name string, f owned) error {
	if bytes.Equal(d.last[name], f.data) {
		return nil
	}
	temp := "." + name
	if err := d.root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) { // of one that was killed here
		return fmt.Errorf("write status: %w", err)
	}
	file, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	_, err = file.Write(f.data)
	if err == nil {
		err = file.Chmod(f.mode)
	}
	if err == nil && f.uid >= 0 && f.uid != d.uid {
		err = state.GrantRead(file, f.uid) // it may be in the machine's memory: as his own he could fill that
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = d.root.Rename(temp, name)
	}
	if err != nil {
		_ = d.root.Remove(temp)
		return fmt.Errorf("write status %s: %w", filepath.Join(d.path, name), err)
	}
	d.last[name] = f.data
	return nil
}

// removeOthers removes the files of users that are not among these. status_dir may be a
// folder that others have files in, too: only names of this package's are touched.
func (d *Dir) removeOthers(files map[string]owned) error {
	maps.DeleteFunc(d.last, func(name string, _ []byte) bool {
		_, ok := files[name]
		return !ok && name != nodeName
	})
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("list status_dir: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if _, ok := files[e.Name()]; ok || !isTold(e.Name()) {
			continue
		}
		if err := d.root.Remove(e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove status: %w", err))
		}
	}
	return errors.Join(errs...)
}

// isTold reports whether a name is that of a user's file, or of the beginning of any file
// that a plugin was killed over.
func isTold(name string) bool {
	bare, begun := strings.CutPrefix(name, ".")
	digits, ok := strings.CutSuffix(bare, ".json")
	uid, err := strconv.ParseUint(digits, 10, 32)
	return ok && (err == nil && tasksName(int(uid)) == bare || begun && bare == nodeName)
}
