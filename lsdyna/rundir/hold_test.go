// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
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

// The next run waits until the outputs of the last one are read, also where the
// supervisor, which had the lock, ended a moment ago.
func TestWatcher_Finish_keepsTheFolderUntilItIsRead(t *testing.T) {
	s := newServer(t)
	c, err := openFolder(t, s.dir).Claim(ownerHere("a", living(t)))
	must.NoError(t, err)
	adopted := s.watch(t, func(o *WatchOptions) { o.Run = "a" })
	_, err = c.lock.WriteAt([]byte(durable.EndMark("a")), 0)
	must.NoError(t, err)
	c.Drop()

	next := s.watch(t, func(o *WatchOptions) { o.farewell = time.Hour })
	_, err = next.Claim(context.Background(), ownerHere("b"))
	must.True(t, mustOwned(t, err).Over)
	must.StrContains(t, err.Error(), "has just ended there")

	_, err = adopted.Finish(context.Background())
	must.NoError(t, err)
	_, err = next.Claim(context.Background(), ownerHere("b"))
	must.True(t, mustOwned(t, err).Locked)

	adopted.Release()
	<-adopted.Done()
	lock, err := next.Claim(context.Background(), ownerHere("b"))
	must.NoError(t, err)
	must.NoError(t, lock.Close())
}

// A run without a plugin does not keep its folder for ever.
func TestWatcher_Claim_afterARunThatNobodyReads(t *testing.T) {
	s := newServer(t)
	plantOwner(t, openFolder(t, s.dir), ownerHere("a", OwnerProcess{PID: 1, StartTicks: 1 << 60}))
	w := s.watch(t, func(o *WatchOptions) { o.farewell = 100 * time.Millisecond })
	began, refused := time.Now(), false
	for {
		lock, err := w.Claim(context.Background(), ownerHere("b"))
		if err == nil {
			must.NoError(t, lock.Close())
			break
		}
		refused = true
		must.True(t, mustOwned(t, err).Over)
		must.Less(t, 20*time.Second, time.Since(began))
	}
	must.True(t, refused)
	must.GreaterEq(t, 100*time.Millisecond, time.Since(began))

	// It is another attempt of its own task: its plugin knows that nobody reads.
	again := ownerHere("b")
	again.Run = "b, once more"
	w.Release()
	<-w.Done()
	plantOwner(t, openFolder(t, s.dir), ownerHere("b", OwnerProcess{PID: 1, StartTicks: 1 << 60}))
	lock, err := s.watch(t, func(o *WatchOptions) { o.farewell = time.Hour }).Claim(context.Background(), again)
	must.NoError(t, err)
	must.NoError(t, lock.Close())
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
