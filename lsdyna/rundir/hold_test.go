// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

// mustBeUnlocked fails where somebody holds the folder's lock.
func mustBeUnlocked(t *testing.T, dir string) {
	t.Helper()
	lock, _, err := openFolder(t, dir).takeLock()
	must.NoError(t, err)
	must.NoError(t, unlock(lock))
}

// A start that has stopped to wait for its claim leaves no lock behind.
func TestWatcher_Claim_thatNobodyWaitsForAnyMore(t *testing.T) {
	was := tryLock
	t.Cleanup(func() { tryLock = was })
	begun, answer := make(chan struct{}), make(chan struct{})
	tryLock = func(f *os.File) (bool, error) {
		close(begun)
		<-answer
		return was(f)
	}
	s := newServer(t)
	w := s.watch(t)
	ctx, cancel := context.WithCancel(context.Background())
	claimed := make(chan error)
	go func() {
		_, err := w.Claim(ctx, ownerHere("a"))
		claimed <- err
	}()
	<-begun
	cancel()
	must.ErrorIs(t, <-claimed, ErrNoAnswer)
	w.Close()
	close(answer)
	<-w.Done()
	tryLock = was
	mustBeUnlocked(t, s.dir)
}

func TestWatcher_Release(t *testing.T) {
	mustBeFree := func(t *testing.T, s *server) {
		t.Helper()
		mustBeUnlocked(t, s.dir)
		o, err := openFolder(t, s.dir).ReadOwner()
		must.NoError(t, err)
		must.NotNil(t, o.Ended)
	}
	t.Run("of a folder that could not be held before", func(t *testing.T) {
		s := newServer(t)
		plantOwner(t, openFolder(t, s.dir), ownerHere("a"))
		fail := make(chan struct{})
		w := s.watch(t, func(o *WatchOptions) {
			open, looks := o.Open, 0
			o.Run, o.Open = "a", func() (*Folder, error) {
				if looks++; looks == 1 {
					<-fail
					return nil, unix.EIO
				}
				return open()
			}
		})
		w.Hold(ownerHere("a"))
		await(t, w, "the look", func(View) bool { return w.Stalled() > 0 })
		w.Release()
		close(fail)
		<-w.Done()
		mustBeFree(t, s)
	})
	t.Run("on a server that is restarted at that moment", func(t *testing.T) {
		s := newServer(t)
		w := s.watch(t, func(o *WatchOptions) {
			o.As = func(do func() error) error {
				err := do()
				if errors.Is(err, unix.EBADF) { // what is closed below
					return unix.ESTALE
				}
				return err
			}
		})
		lock, err := w.Claim(context.Background(), ownerHere("a"))
		must.NoError(t, err)
		must.NoError(t, lock.Close())
		must.NoError(t, w.Do(context.Background(), func(f *Folder) error {
			w.Release()
			return f.dir.Close()
		}))
		<-w.Done()
		mustBeFree(t, s)
	})
}
