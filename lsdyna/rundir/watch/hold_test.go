// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
)

// ownerHere is a run on this machine whose processes are those given.
func ownerHere(run string, processes ...ownership.Process) ownership.Owner {
	return ownership.Owner{
		Run: run, Job: "crash", Task: "solve", Alloc: "alloc-of-" + run, Node: ownership.ThisNode("id-here", "here"),
		Since: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), Processes: processes,
	}
}

// living is a process that lives for as long as the test, and is not the one that asks.
func living(t *testing.T) ownership.Process {
	t.Helper()
	ticks, err := procfs.StartTicks(procfs.Root, os.Getppid())
	must.NoError(t, err)
	return ownership.Process{PID: os.Getppid(), StartTicks: ticks}
}

// gone is a process that is not there.
var gone = ownership.Process{PID: 1, StartTicks: 1 << 60}

func openFolder(t *testing.T, dir string) *ownership.Folder {
	t.Helper()
	f, err := rundir.Open(dir, ".")
	must.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return ownership.Of(f)
}

// plantOwner leaves the record of a run whose supervisor is gone, and with it the lock.
func plantOwner(t *testing.T, f *ownership.Folder, o ownership.Owner) {
	t.Helper()
	c, err := f.Claim(o)
	must.NoError(t, err)
	c.Drop()
}

func mustOwned(t *testing.T, err error) *ownership.OwnedError {
	t.Helper()
	var owned *ownership.OwnedError
	must.True(t, errors.As(err, &owned), must.Sprintf("%v", err))
	return owned
}

// mustBeUnlocked fails where somebody holds the folder's lock.
func mustBeUnlocked(t *testing.T, dir string) {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, ownership.LockFile))
	must.NoError(t, err)
	defer file.Close()
	must.NoError(t, unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB))
}

// slowly is a context that takes its time when it is first asked whether it has ended,
// and then denies it.
type slowly struct {
	context.Context
	asked, answer chan struct{}
	again         atomic.Bool
}

func (c *slowly) Err() error {
	if c.again.Swap(true) {
		return c.Context.Err()
	}
	close(c.asked)
	<-c.answer
	return nil
}

// A start that has stopped to wait for its claim leaves no lock behind.
func TestWatcher_Claim_thatNobodyWaitsForAnyMore(t *testing.T) {
	s := newServer(t)
	w := s.watch(t)
	ctx, cancel := context.WithCancel(context.Background())
	begun, answer := make(chan struct{}), make(chan struct{})
	claimed := make(chan error)
	go func() {
		_, err := w.Claim(&slowly{Context: ctx, asked: begun, answer: answer}, ownerHere("a"))
		claimed <- err
	}()
	<-begun
	cancel()
	must.ErrorIs(t, <-claimed, rundir.ErrNoAnswer)
	w.Close()
	close(answer)
	<-w.Done()
	mustBeUnlocked(t, s.dir)
}

// The next run waits until the outputs of the last one are read, also where the
// supervisor, which had the lock, ended a moment ago.
func TestWatcher_Finish_keepsTheFolderUntilItIsRead(t *testing.T) {
	s := newServer(t)
	c, err := openFolder(t, s.dir).Claim(ownerHere("a", living(t)))
	must.NoError(t, err)
	adopted := s.watch(t, func(o *Options) { o.Run = "a" })
	supervisors, err := c.Lock()
	must.NoError(t, err)
	_, err = supervisors.WriteAt([]byte(durable.EndMark("a")), 0)
	must.NoError(t, errors.Join(err, supervisors.Close()))
	c.Drop()

	next := s.watch(t, func(o *Options) { o.farewell = time.Hour })
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
	plantOwner(t, openFolder(t, s.dir), ownerHere("a", gone))
	w := s.watch(t, func(o *Options) { o.farewell = 100 * time.Millisecond })
	began, refused := time.Now(), false
	for {
		lock, err := w.Claim(context.Background(), ownerHere("b"))
		if err == nil {
			must.NoError(t, lock.Close())
			break
		}
		refused = true
		must.True(t, mustOwned(t, err).Over)
		must.Less(t, time.Minute, time.Since(began))
	}
	must.True(t, refused)
	must.GreaterEq(t, 100*time.Millisecond, time.Since(began))

	// It is another attempt of its own task: its plugin knows that nobody reads.
	again := ownerHere("b")
	again.Run = "b, once more"
	w.Release()
	<-w.Done()
	plantOwner(t, openFolder(t, s.dir), ownerHere("b", gone))
	lock, err := s.watch(t, func(o *Options) { o.farewell = time.Hour }).Claim(context.Background(), again)
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
		w := s.watch(t, func(o *Options) {
			open, looks := o.Open, 0
			o.Run, o.Open = "a", func() (*rundir.Folder, error) {
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
		w := s.watch(t, func(o *Options) {
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
		must.NoError(t, w.Do(context.Background(), func(f *rundir.Folder) error {
			w.Release()
			return f.Close()
		}))
		<-w.Done()
		mustBeFree(t, s)
	})
}

func TestWatcher_Hold(t *testing.T) {
	t.Run("a run whose supervisor is gone", func(t *testing.T) {
		s := newServer(t)
		w := s.watch(t, func(o *Options) { o.Run = "a" })
		w.Hold(ownerHere("a", living(t)))
		awaitOwner(t, s, "a")
		_, err := openFolder(t, s.dir).Claim(ownerHere("b"))
		must.True(t, mustOwned(t, err).Locked)

		w.Release()
		<-w.Done()
		_, err = openFolder(t, s.dir).Claim(ownerHere("b"))
		must.NoError(t, err)
	})
	t.Run("while its supervisor has the lock there is nothing to do", func(t *testing.T) {
		s := newServer(t)
		c, err := openFolder(t, s.dir).Claim(ownerHere("a"))
		must.NoError(t, err)
		w := s.watch(t, func(o *Options) { o.Run = "a" })
		w.Hold(ownerHere("a"))
		v, err := w.Look(context.Background())
		must.NoError(t, err)
		must.NoError(t, v.Held)
		must.NoError(t, c.Release())
	})
	t.Run("another run's folder is told, and left alone", func(t *testing.T) {
		s := newServer(t)
		c, err := openFolder(t, s.dir).Claim(ownerHere("b"))
		must.NoError(t, err)
		s.write(t, "d3kil", "sw1.\n")
		w := s.watch(t, func(o *Options) { o.Run = "a" })
		w.Hold(ownerHere("a"))
		v := await(t, w, "the other run", func(v View) bool { return v.Held != nil })
		must.Eq(t, "b", mustOwned(t, v.Held).Owner.Run)

		_, err = w.Finish(context.Background())
		must.True(t, mustOwned(t, err).Since)
		sw1, err := lsdyna.ParseSwitch("sw1")
		must.NoError(t, err)
		mustOwned(t, w.Send(context.Background(), Sending{Switch: sw1}))
		w.Release()
		<-w.Done()
		must.FileExists(t, filepath.Join(s.dir, "d3kil"))
		o, err := openFolder(t, s.dir).ReadOwner()
		must.NoError(t, err)
		must.Eq(t, "b", o.Run)
		must.Nil(t, o.Ended)
		must.NoError(t, c.Release())
	})
	t.Run("a file server that was restarted", func(t *testing.T) {
		s := newServer(t)
		w := s.watch(t, func(o *Options) { o.Run = "a" })
		lock, err := w.Claim(context.Background(), ownerHere("a"))
		must.NoError(t, err)
		must.NoError(t, lock.Close())
		must.ErrorIs(t, w.Do(context.Background(), func(*rundir.Folder) error { return unix.ESTALE }), unix.ESTALE)
		await(t, w, "the folder again", func(v View) bool { return v.Open && v.Held == nil && v.Looks > 0 })
		_, err = openFolder(t, s.dir).Claim(ownerHere("b"))
		must.True(t, mustOwned(t, err).Locked)
	})
}

func awaitOwner(t *testing.T, s *server, run string) {
	t.Helper()
	folder := openFolder(t, s.dir)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if o, err := folder.ReadOwner(); err == nil && o.Run == run {
			return
		}
		must.True(t, time.Now().Before(deadline), must.Sprintf("the folder is not %s's", run))
	}
}
