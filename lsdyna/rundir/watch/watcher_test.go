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
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// server stands for the file server of a run folder: while it is down, everything
// that is done with the user's rights, and every opening, waits for it.
type server struct {
	dir  string
	down atomic.Pointer[chan struct{}]
	fail atomic.Pointer[error] // what opening says
}

func (s *server) wait() {
	if c := s.down.Load(); c != nil {
		<-*c
	}
}

// stop lets the server answer no more until it is started again.
func (s *server) stop() (start func()) {
	c := make(chan struct{})
	s.down.Store(&c)
	return func() { s.down.Store(nil); close(c) }
}

func (s *server) options() Options {
	return Options{
		Open: func() (*rundir.Folder, error) {
			s.wait()
			if err := s.fail.Load(); err != nil {
				return nil, *err
			}
			return rundir.Open(filepath.Dir(s.dir), filepath.Base(s.dir))
		},
		As:       func(do func() error) error { return do() },
		Follow:   &rundir.FollowOptions{},
		interval: time.Millisecond,
	}
}

func newServer(t *testing.T) *server { return &server{dir: t.TempDir()} }

func (s *server) write(t *testing.T, name, text string) {
	t.Helper()
	must.NoError(t, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644))
}

func (s *server) watch(t *testing.T, change ...func(*Options)) *Watcher {
	o := s.options()
	for _, c := range change {
		c(&o)
	}
	w := Start(o)
	t.Cleanup(func() {
		w.Close()
		<-w.Done()
	})
	return w
}

// await waits for a view.
func await(t *testing.T, w *Watcher, what string, is func(View) bool) View {
	t.Helper()
	end := time.After(time.Minute)
	for {
		if v := w.View(); is(v) {
			return v
		}
		select {
		case <-w.Changed():
		case <-time.After(20 * time.Millisecond): // Stalled is not announced
		case <-end:
			t.Fatalf("not seen: %s; the view is %+v", what, w.View())
		}
	}
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func expired() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

const solving = "     100 t 1.0000E-02 dt 1.00E-04 flush i/o buffers            12/21/25 20:15:16\n"

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

func TestWatcher_switchUntilItsDumpIsComplete(t *testing.T) {
	s := newServer(t)
	s.write(t, "stdout", solving)
	w := s.watch(t)
	await(t, w, "cycle 100", func(v View) bool { return v.Snapshot.Cycle == 100 })
	sw, err := lsdyna.ParseSwitch("sw3")
	must.NoError(t, err)
	written := false
	must.NoError(t, w.Send(soon(t), Sending{Switch: sw, Written: func() { written = true }}))
	must.True(t, written)
	must.ErrorIs(t, w.Send(soon(t), Sending{Switch: sw}), rundir.ErrSwitchPending)
	v := w.View()
	must.NotNil(t, v.Switch)
	must.True(t, v.Switch.Taken.IsZero())

	must.NoError(t, os.Remove(filepath.Join(s.dir, lsdyna.KillFile)))
	await(t, w, "that it was taken", func(v View) bool { return !v.Switch.Taken.IsZero() })
	s.write(t, "d3dump01", "a dump")
	s.write(t, "stdout", solving+"     101 t 1.0100E-02 dt 1.00E-04 write d3dump01 file          12/21/25 20:15:17\n"+solving)
	v = await(t, w, "a complete dump", func(v View) bool { return v.Switch.Dump.Complete })
	must.Eq(t, "d3dump01", v.Switch.Dump.Dump.Name)
}

// What a later start needs is on the disk before anybody hears of the dump: everything
// may be killed a moment later, before the solver prints another line.
func TestWatcher_recordsADumpBeforeItIsTold(t *testing.T) {
	const dumped = solving + "     101 t 1.0100E-02 dt 1.00E-04 write d3dump01 file          12/21/25 20:15:17\n"
	sw3, err := lsdyna.ParseSwitch("sw3")
	must.NoError(t, err)
	recorded := func(t *testing.T, s *server) []rundir.WholeDump {
		t.Helper()
		r, err := openFolder(t, s.dir).ReadRecord()
		must.NoError(t, err)
		return r.Whole
	}
	begin := func(t *testing.T) (*server, *Watcher) {
		t.Helper()
		s := newServer(t)
		must.NoError(t, openFolder(t, s.dir).WriteRecord(rundir.Record{Identity: rundir.Identity{Deck: "d"}}))
		s.write(t, "stdout", solving)
		w := s.watch(t, func(o *Options) { o.interval = time.Hour })
		await(t, w, "a look", func(v View) bool { return v.Looks > 0 })
		return s, w
	}
	t.Run("that was asked for", func(t *testing.T) {
		s, w := begin(t)
		must.NoError(t, w.Send(soon(t), Sending{Switch: sw3}))
		must.NoError(t, os.Remove(filepath.Join(s.dir, lsdyna.KillFile)))
		s.write(t, "d3dump01", "a dump")
		s.write(t, "stdout", dumped)
		for told := false; !told; {
			before := recorded(t, s)
			v, err := w.Look(soon(t))
			must.NoError(t, err)
			if told = v.Switch.Dump.Complete; !told {
				must.SliceEmpty(t, before)
			}
		}
		must.Len(t, 1, recorded(t, s))
		must.Eq(t, 6, recorded(t, s)[0].Bytes)
	})
	t.Run("of the solver's own", func(t *testing.T) {
		s, w := begin(t)
		s.write(t, "d3dump01", "a dump")
		s.write(t, "stdout", dumped)
		for len(recorded(t, s)) == 0 {
			_, err := w.Look(soon(t))
			must.NoError(t, err)
		}
		must.Eq(t, "d3dump01", recorded(t, s)[0].Name)
	})
	t.Run("but not in a folder that is another run's by now", func(t *testing.T) {
		s := newServer(t)
		must.NoError(t, openFolder(t, s.dir).WriteRecord(rundir.Record{Identity: rundir.Identity{Deck: "d"}}))
		plantOwner(t, openFolder(t, s.dir), ownerHere("b", living(t)))
		s.write(t, "d3dump01", "a dump")
		s.write(t, "stdout", dumped)
		w := s.watch(t, func(o *Options) { o.Run, o.interval = "a", time.Hour })
		for range 10 {
			_, err := w.Look(soon(t))
			mustOwned(t, err)
		}
		must.SliceEmpty(t, recorded(t, s))
	})
}

// Who resumes a stop does not write a switch that the solver took already.
func TestWatcher_switchThatWasSentBefore(t *testing.T) {
	sw, err := lsdyna.ParseSwitch("sw1")
	must.NoError(t, err)
	for name, c := range map[string]struct {
		stdout string
		writes bool
	}{
		"not taken yet": {solving, true},
		"taken":         {solving + " *** termination due to sense switch: sw1 ***\n", false},
		"kill file":     {solving + " *** kill file detected - terminating ****\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.write(t, "stdout", c.stdout)
			w := s.watch(t)
			must.NoError(t, w.Send(soon(t), Sending{Switch: sw, Again: true, Asked: time.Now().Add(-time.Minute)}))
			_, err := os.Lstat(filepath.Join(s.dir, lsdyna.KillFile))
			must.Eq(t, c.writes, err == nil)
			must.NotNil(t, w.View().Switch)
		})
	}
}

// A dump that was written between the last look and the switch is none of the switch's.
func TestWatcher_switchKnowsTheDumpOfAMomentAgo(t *testing.T) {
	sw, err := lsdyna.ParseSwitch("sw1")
	must.NoError(t, err)
	for name, c := range map[string]struct {
		sending Sending
		before  string
	}{
		"sent once":                     {Sending{Switch: sw}, "d3dump02"},
		"sent for the first time":       {Sending{Switch: sw, Again: true, First: true, LastDump: &output.Dump{Name: "d3dump01"}}, "d3dump02"},
		"begun by a process before it":  {Sending{Switch: sw, Again: true, LastDump: &output.Dump{Name: "d3dump01"}}, "d3dump01"},
		"begun before there was a dump": {Sending{Switch: sw, Again: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.write(t, "stdout", solving)
			w := s.watch(t, func(o *Options) { o.interval = time.Hour })
			await(t, w, "a look", func(v View) bool { return v.Looks > 0 })
			s.write(t, "stdout", solving+"     101 t 1.0100E-02 dt 1.00E-04 write d3dump02 file          12/21/25 20:15:17\n")
			must.NoError(t, w.Send(soon(t), c.sending))
			before := w.View().Switch.Before
			must.Eq(t, c.before == "", before == nil)
			if before != nil {
				must.Eq(t, c.before, before.Name)
			}
		})
	}
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

// A stop that has gone on without its switch must not have it written behind its
// back.
func TestWatcher_switchIsNotWrittenBehindItsDeadline(t *testing.T) {
	sw, err := lsdyna.ParseSwitch("sw1")
	must.NoError(t, err)
	s := newServer(t)
	w := s.watch(t, func(o *Options) {
		o.interval = time.Hour
		o.As = func(do func() error) error { s.wait(); return do() }
	})
	await(t, w, "a first look", func(v View) bool { return v.Looks > 0 })
	start := s.stop()
	ctx, giveUp := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		failed <- w.Send(ctx, Sending{Switch: sw, Written: func() { t.Error("it was said to be written") }})
	}()
	await(t, w, "that the server is asked", func(View) bool { return w.Stalled() > 0 })
	giveUp()
	must.ErrorIs(t, <-failed, rundir.ErrNoAnswer)
	start()
	must.NoError(t, w.Do(soon(t), func(*rundir.Folder) error { return nil })) // behind it
	_, err = os.Lstat(filepath.Join(s.dir, lsdyna.KillFile))
	must.ErrorIs(t, err, os.ErrNotExist)
	must.Nil(t, w.View().Switch)
}

// A stop's switch is followed until the end, whatever else is asked for.
func TestWatcher_noSwitchAfterTheOneThatEndsTheRun(t *testing.T) {
	sw1, err := lsdyna.ParseSwitch("sw1")
	must.NoError(t, err)
	sw3, err := lsdyna.ParseSwitch("sw3")
	must.NoError(t, err)
	s := newServer(t)
	w := s.watch(t)
	must.NoError(t, w.Send(soon(t), Sending{Switch: sw1}))
	must.NoError(t, os.Remove(filepath.Join(s.dir, lsdyna.KillFile)))
	await(t, w, "that it was taken", func(v View) bool { return !v.Switch.Taken.IsZero() })
	must.ErrorContains(t, w.Send(soon(t), Sending{Switch: sw3}), "is being stopped")
	must.Eq(t, sw1, w.View().Switch.Switch)
}

// A run that was stopped long ago, while nobody watched, is told of like any other,
// and leaves no switch behind.
func TestWatcher_recallsAnOldSwitch(t *testing.T) {
	sw, err := lsdyna.ParseSwitch("sw1")
	must.NoError(t, err)
	s := newServer(t)
	s.write(t, lsdyna.KillFile, "sw1.\n")
	w := s.watch(t)
	must.NoError(t, w.Recall(soon(t), Sending{Switch: sw, Asked: time.Now().Add(-2 * effectPatience)}))
	v, err := w.Finish(soon(t))
	must.NoError(t, err)
	must.True(t, v.Switch.Ended)
	_, err = os.Lstat(filepath.Join(s.dir, lsdyna.KillFile))
	must.ErrorIs(t, err, os.ErrNotExist)
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
	place := rundir.Workplace{Solver: procfs.Identity{PID: cmd.Process.Pid}, Path: s.dir}
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
		var gone *rundir.GoneError
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
