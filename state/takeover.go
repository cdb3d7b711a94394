// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// pluginLock is the file whose flock makes state_dir a plugin's own.
const pluginLock = "plugin.lock"

// A turn at a state_dir's lock. Only one process has it at a time, for a few system
// calls, in which the file of the lock cannot be replaced by somebody else. It is the
// flock of the folder itself, which needs no writing and no file.
type turn struct{ dir *os.File } // nil where the file system cannot lock folders; then nobody replaces

func takeTurn(dir string) (turn, error) {
	f, err := durable.Lock(dir, os.O_RDONLY|syscall.O_DIRECTORY)
	if err != nil && !errors.Is(err, durable.ErrHeld) {
		return turn{}, nil //nolint:nilerr // some network file systems
	}
	return turn{f}, err
}

func (t turn) end() {
	if t.dir != nil {
		_ = durable.Unlock(t.dir)
	}
}

// takePluginLock takes the lock, in this process's turn.
func takePluginLock(path string, _ turn) (*os.File, error) {
	held, err := durable.Lock(path, os.O_RDWR|os.O_CREATE)
	if errors.Is(err, syscall.EROFS) {
		// Running tasks must be found again all the same; a lock needs no writing.
		return durable.Lock(path, os.O_RDONLY)
	}
	return held, err
}

// TakeOver is Open, also while a process has state_dir that is dying but cannot end
// (procfs.Identity.Dying): a thread of it waits for a file server that does not answer,
// and with the thread its lock stays. from is what an InUseError said. It returns
// ErrInUse (wrapped) where that process does not hold the lock, or is not proven to be
// dying. Whoever calls it has watched the process for a while: most end at once.
//
// The lock file is replaced by a new one. Plugins since this one take a lock in their
// turn only, so no two of them get the old and the new file. Each thread of the dying
// process ends the system call that it is in, at most, and no other follows.
//
// A plugin of a version before this one knows no turns. It would have to have opened
// the old file in the ten milliseconds in which it tries (durable.Lock) before it is
// replaced, and the dying process, which has not ended in seconds, to end just in
// these: then both would work on state_dir. Nomad runs one plugin process at a time,
// so it takes two agents with one state_dir in the middle of an upgrade as well. An
// old plugin that comes later finds the new file locked.
func TakeOver(dir string, from Holder) (*Store, error) {
	return openWith(dir, func(path string, t turn) (*os.File, error) {
		held, err := takePluginLock(path, t)
		if !errors.Is(err, durable.ErrHeld) || t.dir == nil {
			return held, err
		}
		return replaceLock(path, from)
	})
}

// replaceLock puts a new file in the place of one whose lock a dying process holds,
// with its lock taken.
func replaceLock(path string, from Holder) (*os.File, error) {
	if err := provenDying(procfs.Root, path, from); err != nil {
		return nil, errors.Join(durable.ErrHeld, err)
	}
	name := path + ".new"
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) { // of one that was killed here
		return nil, fmt.Errorf("take over: %w", err)
	}
	held, err := durable.Lock(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	if err := os.Rename(name, path); err != nil { //nolint:forbidigo // only its lock counts, and no lock survives a crash
		return nil, errors.Join(fmt.Errorf("take over: %w", err), durable.Unlock(held), os.Remove(name))
	}
	return held, nil
}

// provenDying reports why it is not certain that the lock's file is held by from, and
// by nobody else, and that from will never run again. What the file says of its
// holder may be old where the disk is full; the kernel knows.
func provenDying(proc, path string, from Holder) error {
	if now := readHolder(path); now != from {
		return fmt.Errorf("another process has it by now (pid %d)", now.PID)
	}
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return fmt.Errorf("look at its lock: %w", err)
	}
	holders, err := procfs.FlockHolders(proc, st.Ino)
	if err != nil {
		return err
	}
	if !slices.Contains(holders, from.PID) {
		return fmt.Errorf("pid %d does not hold its lock", from.PID)
	}
	if !from.Process().Dying(proc) {
		return fmt.Errorf("pid %d is not proven to be dying", from.PID)
	}
	return nil
}
