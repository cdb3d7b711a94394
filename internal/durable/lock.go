// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package durable

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrHeld means that another process holds a lock.
var ErrHeld = errors.New("its lock is held")

// Probes (Held) take a shared lock for an instant. Lock tries again in between.
const (
	lockTries = 5
	lockPause = 2 * time.Millisecond
)

// Lock opens the file at path with the flags of os.OpenFile and takes its flock
// without waiting. It follows no link at the end of the path. The error wraps
// ErrHeld while somebody else holds the lock.
//
// A flock belongs to the open file: a process that inherits the descriptor holds
// the lock too, and the lock is free when the last of them has closed it.
func Lock(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for try := 1; ; try++ {
		err = flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || try == lockTries {
			break
		}
		time.Sleep(lockPause) //nolint:forbidigo // a few times, and short
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrHeld
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

// Unlock frees a lock that no other process is to have any more, and closes its
// file. Close alone is not enough: a process that is being forked at this moment has
// the open file too, until it executes something else.
func Unlock(f *os.File) error {
	return errors.Join(flock(f, syscall.LOCK_UN), f.Close())
}

// Held reports whether somebody holds the lock of the file at path. Nobody does
// where there is no file. Probes do not disturb each other.
func Held(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("probe lock: %w", err)
	}
	err = flock(f, syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		return false, Unlock(f)
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, fmt.Errorf("probe lock %s: %w", path, err)
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if err != syscall.EINTR {
			return err
		}
	}
}
