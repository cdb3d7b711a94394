// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watch

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/identity"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/killfile"
)

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
	must.ErrorIs(t, w.Send(soon(t), Sending{Switch: sw}), killfile.ErrPending)
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
		must.NoError(t, openFolder(t, s.dir).WriteRecord(rundir.Record{Identity: identity.Identity{Deck: "d"}}))
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
		must.NoError(t, openFolder(t, s.dir).WriteRecord(rundir.Record{Identity: identity.Identity{Deck: "d"}}))
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
