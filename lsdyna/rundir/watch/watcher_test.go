// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watch

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/workplace"
)

func TestWatcher_readsWhatTheSolverWrites(t *testing.T) {
	s := newServer(t)
	w := s.watch(t)
	await(t, w, "a first look", func(v View) bool { return v.Looks > 0 && v.Open })
	s.write(t, "stdout", solving)
	await(t, w, "cycle 100", func(v View) bool { return v.Snapshot.Cycle == 100 })
}

func TestWatcher_opensLaterWhatCannotBeOpenedNow(t *testing.T) {
	s := newServer(t)
	gone := error(unix.ENOENT)
	s.fail.Store(&gone)
	s.write(t, "stdout", solving)
	w := s.watch(t)
	await(t, w, "the reason", func(v View) bool { return errors.Is(v.Err, unix.ENOENT) })
	err := w.Do(soon(t), func(*rundir.Folder) error { return nil })
	must.ErrorIs(t, err, rundir.ErrNotOpen)
	must.ErrorIs(t, err, unix.ENOENT)
	must.True(t, rundir.Unreadable(err))
	s.fail.Store(nil)
	v := await(t, w, "cycle 100", func(v View) bool { return v.Snapshot.Cycle == 100 })
	must.NoError(t, v.Err)
}

// Nobody waits for a server that does not answer, and what was asked of it too
// late is never done.
func TestWatcher_serverThatDoesNotAnswer(t *testing.T) {
	s := newServer(t)
	start := s.stop()
	w := s.watch(t)
	await(t, w, "that the server stalls", func(View) bool { return w.Stalled() > 0 })

	done := false
	must.ErrorIs(t, w.Do(expired(), func(*rundir.Folder) error { done = true; return nil }), rundir.ErrNoAnswer)
	_, err := w.Look(expired())
	must.ErrorIs(t, err, rundir.ErrNoAnswer)
	must.True(t, rundir.Unreadable(err))
	sw, err := lsdyna.ParseSwitch("sw1")
	must.NoError(t, err)
	must.ErrorIs(t, w.Send(expired(), Sending{Switch: sw}), rundir.ErrNoAnswer)
	must.Eq(t, 0, w.View().Looks)

	start()
	await(t, w, "a look", func(v View) bool { return v.Looks > 0 })
	must.False(t, done)
	_, err = os.Lstat(filepath.Join(s.dir, lsdyna.KillFile))
	must.ErrorIs(t, err, os.ErrNotExist)
}

// A request that the server holds up is given up by who waits for it, not undone.
func TestWatcher_requestThatIsHeldUp(t *testing.T) {
	s := newServer(t)
	w := s.watch(t)
	await(t, w, "a first look", func(v View) bool { return v.Looks > 0 })
	start := s.stop()
	ctx, giveUp := context.WithCancel(t.Context())
	begun := make(chan struct{})
	failed := make(chan error)
	done := make(chan struct{})
	go func() {
		failed <- w.Do(ctx, func(*rundir.Folder) error { close(begun); s.wait(); close(done); return nil })
	}()
	<-begun
	giveUp()
	must.ErrorIs(t, <-failed, rundir.ErrNoAnswer)
	start()
	<-done
}

func TestWatcher_closeDoesNotWaitForTheServer(t *testing.T) {
	s := newServer(t)
	start := s.stop()
	w := s.watch(t)
	await(t, w, "that the server stalls", func(View) bool { return w.Stalled() > 0 })
	w.Close()
	must.ErrorIs(t, w.Do(soon(t), func(*rundir.Folder) error { return nil }), ErrClosed)
	select {
	case <-w.Done():
		t.Error("it ended while the server was asked")
	default:
	}
	start()
	<-w.Done()
}

func TestWatcher_finishReadsToTheEndAndRemovesTheSwitch(t *testing.T) {
	s := newServer(t)
	s.write(t, "stdout", solving)
	w := s.watch(t)
	sw, err := lsdyna.ParseSwitch("sw1")
	must.NoError(t, err)
	must.NoError(t, w.Send(soon(t), Sending{Switch: sw}))
	s.write(t, "stdout", solving+strings.Repeat(solving, 10)+"     999 t 2.0000E-02 dt 1.00E-04 flush i/o buffers            12/21/25 20:15:18")
	v, err := w.Finish(soon(t))
	must.NoError(t, err)
	must.Eq(t, 999, v.Snapshot.Cycle)
	must.True(t, v.Switch.Ended)
	must.True(t, v.Switch.Taken.IsZero())
	_, err = os.Lstat(filepath.Join(s.dir, lsdyna.KillFile))
	must.ErrorIs(t, err, os.ErrNotExist)
}

// What a file system that was mounted again, or a server that was restarted, says of
// the old descriptor, it says for ever.
func TestWatcher_opensAnewWhereTheConnectionWasLost(t *testing.T) {
	sw, err := lsdyna.ParseSwitch("sw1")
	must.NoError(t, err)
	for _, lost := range []error{unix.ESTALE, unix.ENOTCONN} {
		for name, use := range map[string]func(context.Context, *Watcher) error{
			"at the end": func(ctx context.Context, w *Watcher) error { _, err := w.Finish(ctx); return err },
			"a switch":   func(ctx context.Context, w *Watcher) error { return w.Send(ctx, Sending{Switch: sw, Again: true}) },
			"a request": func(ctx context.Context, w *Watcher) error {
				return w.Do(ctx, func(*rundir.Folder) error { return nil })
			},
		} {
			t.Run(name+", "+lost.Error(), func(t *testing.T) {
				s := newServer(t)
				var opened atomic.Int64
				var fails atomic.Bool
				w := s.watch(t, func(o *Options) {
					open, as := o.Open, o.As
					o.interval = time.Hour // no look helps
					o.Open = func() (*rundir.Folder, error) { opened.Add(1); return open() }
					o.As = func(do func() error) error {
						err := as(do)
						if fails.Swap(false) {
							return lost
						}
						return err
					}
				})
				must.NoError(t, w.Send(soon(t), Sending{Switch: sw}))
				fails.Store(true)
				must.ErrorIs(t, use(soon(t), w), lost)
				must.NoError(t, use(soon(t), w))
				must.Eq(t, 2, opened.Load())
			})
		}
	}
}

func TestUnreadable(t *testing.T) {
	must.False(t, rundir.Unavailable(rundir.NotOpen(unix.ENOENT)))
	must.True(t, rundir.Unavailable(rundir.NotOpen(unix.ESTALE)))
	for _, err := range []error{rundir.ErrNoAnswer, rundir.NotOpen(unix.ENOENT), &os.PathError{Op: "read", Path: "x", Err: unix.EIO}, unix.ESTALE, unix.EDQUOT, context.DeadlineExceeded} {
		must.True(t, rundir.Unreadable(err), must.Sprint(err))
	}
	for _, err := range []error{nil, unix.ENOENT, &os.PathError{Op: "open", Path: "x", Err: rundir.ErrNotRegular}, unix.EACCES, ErrClosed} {
		must.False(t, rundir.Unreadable(err), must.Sprint(err))
	}
}

// An error is reported when it is new, not at every look.
func TestWatcher_reportsAnErrorOnce(t *testing.T) {
	s := newServer(t)
	gone := error(unix.ENOENT)
	s.fail.Store(&gone)
	var reports atomic.Int64
	w := s.watch(t, func(o *Options) { o.Report = func(error) { reports.Add(1) } })
	for range 3 {
		_, err := w.Look(soon(t))
		must.ErrorIs(t, err, unix.ENOENT)
		await(t, w, "the reason", func(v View) bool { return v.Err != nil })
	}
	for w.View().Err == nil || reports.Load() == 0 {
		<-w.Changed()
	}
	must.Eq(t, 1, reports.Load())
	refused := error(unix.EACCES)
	s.fail.Store(&refused)
	await(t, w, "another report", func(View) bool { return reports.Load() == 2 })
}

// A solver whose folder is removed may end of it before anybody has looked.
func TestWatcher_aFolderThatWasRemovedAndItsSolverGone(t *testing.T) {
	for name, remade := range map[string]bool{"removed": false, "and made anew": true} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.write(t, "stdout", solving)
			w := s.watch(t)
			dir := await(t, w, "cycle 100", func(v View) bool { return v.Snapshot.Cycle == 100 }).Dir
			must.NoError(t, os.RemoveAll(s.dir))
			if remade {
				must.NoError(t, os.Mkdir(s.dir, 0o755))
			}
			w.SetSolver(workplace.Place{Solver: procfs.Identity{PID: 1, StartTicks: 1 << 60}, Path: s.dir, Dir: dir})
			v, err := w.Finish(soon(t))
			var gone *workplace.GoneError
			must.True(t, errors.As(err, &gone), must.Sprintf("%v", err))
			must.Eq(t, error(gone), v.Gone)
			must.Eq(t, "the run folder "+s.dir+" was removed under its solver, and with it the outputs", gone.Error())
			must.Eq(t, 100, v.Snapshot.Cycle)
		})
	}
}

// While the path leads to another folder than the solver's, nothing is read or written
// there; when the solver has ended, too.
func TestWatcher_leavesAFolderAloneThatIsNotTheSolvers(t *testing.T) {
	s := newServer(t)
	s.write(t, "stdout", solving)
	cmd := exec.Command("sleep", "600")
	cmd.Dir = s.dir
	must.NoError(t, cmd.Start())
	end := sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	t.Cleanup(end)
	place := workplace.Place{Solver: procfs.Identity{PID: cmd.Process.Pid}, Path: s.dir}
	var err error
	place.Solver.StartTicks, err = procfs.StartTicks(procfs.Root, cmd.Process.Pid)
	must.NoError(t, err)
	place.Solver.BootID, err = procfs.BootID(procfs.Root)
	must.NoError(t, err)

	w := s.watch(t)
	place.Dir = await(t, w, "cycle 100", func(v View) bool { return v.Snapshot.Cycle == 100 }).Dir
	w.SetSolver(place)
	away := s.dir + "-away"
	must.NoError(t, os.Rename(s.dir, away))
	await(t, w, "that it was moved", func(v View) bool { return v.Gone != nil && !v.Open })
	must.NoError(t, os.Rename(away, s.dir))
	await(t, w, "that it is back", func(v View) bool { return v.Gone == nil && v.Open })

	must.NoError(t, os.RemoveAll(s.dir))
	must.NoError(t, os.Mkdir(s.dir, 0o755))
	await(t, w, "that it was removed", func(v View) bool { return v.Gone != nil })
	sw1, err := lsdyna.ParseSwitch("sw1")
	must.NoError(t, err)
	refuses := func() {
		t.Helper()
		var gone *workplace.GoneError
		must.True(t, errors.As(w.Send(soon(t), Sending{Switch: sw1}), &gone))
		_, err := w.Look(soon(t))
		must.True(t, errors.As(err, &gone))
		must.True(t, rundir.Unreadable(err))
		must.Eq(t, 100, w.View().Snapshot.Cycle)
	}
	refuses()
	end()
	refuses()
	left, err := os.ReadDir(s.dir)
	must.NoError(t, err)
	must.SliceEmpty(t, left)
}
