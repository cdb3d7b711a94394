// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/identity"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/killfile"
)

func mustSwitch(t *testing.T, text string) lsdyna.Switch {
	t.Helper()
	sw, err := lsdyna.ParseSwitch(text)
	must.NoError(t, err)
	return sw
}

// event is a progress line at so many cycles, in hundreds.
func event(n int, what string) string {
	return fmt.Sprintf("%8d t %.4E dt 1.00E-04 %-28s 12/21/25 20:%02d:%02d\n", 100*n, float64(n)*.01, what, n/60, n%60)
}

// lies reports what lies in d3kil; "" for nothing.
func lies(t *testing.T, s *server) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, lsdyna.KillFile))
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	must.NoError(t, err)
	return strings.TrimSpace(string(text))
}

// looking watches a folder whose solver has printed a line, by looks that the test asks
// for.
func looking(t *testing.T, printed string) (*server, *Watcher) {
	t.Helper()
	s := newServer(t)
	must.NoError(t, openFolder(t, s.dir).WriteRecord(rundir.Record{Identity: identity.Identity{Deck: "d"}}))
	s.write(t, "stdout", printed)
	w := s.watch(t, func(o *Options) { o.interval = time.Hour })
	await(t, w, "a look", func(v View) bool { return v.Looks > 0 })
	return s, w
}

func look(t *testing.T, w *Watcher) View {
	t.Helper()
	v, err := w.Look(soon(t))
	must.NoError(t, err)
	return v
}

// lookUntil looks until what came of the last switch is known.
func lookUntil(t *testing.T, w *Watcher) *SwitchView {
	t.Helper()
	for {
		if v := look(t, w); v.Switch.Done() {
			return v.Switch
		}
	}
}

// A solver that leaves d3kil obeys it again and again, until it is taken away: as soon as
// the effect begins to show.
func TestWatcher_switchThatTheSolverLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		sw, printed string
		removed     bool
	}{
		"a dump":                         {"sw3", event(2, "write d3dump01 file"), true},
		"no dump yet":                    {"sw3", event(2, "flush i/o buffers"), false},
		"another kind of effect":         {"sw3", event(2, "write d3plot file"), false},
		"a plot state":                   {"sw4", event(2, "write d3plot file"), true},
		"no plot state":                  {"sw4", event(2, "write d3dump01 file"), false},
		"a flush":                        {"swa", event(2, "flush i/o buffers"), true},
		"words of it":                    {"sw2", " sense switch 2: time = 0.01\n", true},
		"another end":                    {"endtime=0.5", " termination time                  = 5.000E-01\n", true},
		"not this end":                   {"endtime=0.5", " termination time                  = 1.000E+00\n", false},
		"an end that it nearly had":      {"endtime=1.2", event(2, "flush i/o buffers"), false},
		"nothing for a few cycles":       {"swn", event(3, "write d3plot file"), false},
		"nothing for many cycles":        {"swn", event(20, "write d3plot file"), true},
		"no dump for many cycles":        {"sw3", event(20, "write d3plot file"), false},
		"of a version that is not known": {"swz", event(20, "write d3plot file"), true},
	} {
		t.Run(name, func(t *testing.T) {
			const end = " termination time                  = 1.200E+00\n"
			s, w := looking(t, end+event(1, "flush i/o buffers"))
			sw := mustSwitch(t, c.sw)
			must.NoError(t, w.Send(soon(t), Sending{Switch: sw}))
			must.Eq(t, sw.Name, lies(t, s))
			s.write(t, "stdout", end+event(1, "flush i/o buffers")+c.printed)
			v := look(t, w)
			must.Eq(t, c.removed, lies(t, s) == "")
			must.Eq(t, c.removed, v.Switch.Kept)
			must.Eq(t, c.removed, !v.Switch.Taken.IsZero())
		})
	}
}

func TestWatcher_whatASwitchThatWasLeftHasDone(t *testing.T) {
	s, w := looking(t, solving)
	must.NoError(t, w.Send(soon(t), Sending{Switch: mustSwitch(t, "sw3"), Checkpoint: 1}))
	s.write(t, "d3dump01", "a dump")
	s.write(t, "d3dump02", "a dump")
	s.write(t, "stdout", solving+event(2, "write d3dump01 file")+event(3, "write d3dump02 file"))
	v := lookUntil(t, w)
	must.True(t, v.Dump.Complete)
	must.Eq(t, "d3dump01", v.Dump.Dump.Name)
	must.True(t, v.Kept)
	record, err := openFolder(t, s.dir).ReadRecord()
	must.NoError(t, err)
	must.Len(t, 1, record.Asked, must.Sprint("both are the switch's, and one stays"))
	must.Eq(t, "d3dump02", record.Asked[0].File)
	_, err = os.Lstat(filepath.Join(s.dir, "d3dump01"))
	must.ErrorIs(t, err, os.ErrNotExist)

	must.NoError(t, w.Send(soon(t), Sending{Switch: mustSwitch(t, "sw4")}), must.Sprint("the next is sent"))
	must.Eq(t, "sw4.", lies(t, s))
}

// What somebody else has put there since is not taken away.
func TestWatcher_switchOfSomebodyElse(t *testing.T) {
	s, w := looking(t, solving)
	must.NoError(t, w.Send(soon(t), Sending{Switch: mustSwitch(t, "sw3")}))
	s.write(t, lsdyna.KillFile, "sw2.\n")
	s.write(t, "stdout", solving+event(2, "write d3dump01 file"))
	must.False(t, look(t, w).Switch.Kept)
	must.Eq(t, "sw2.", lies(t, s))
}

// A switch that an earlier plugin has sent, or somebody by hand, is taken away when it has
// had its effect. One that ends the run is nobody's to take away.
func TestWatcher_switchThatLiesThere(t *testing.T) {
	for text, removed := range map[string]bool{"sw3.": true, "sw4.": false, "sw1.": false, "swz.": false, "what?": false} {
		t.Run(text, func(t *testing.T) {
			s, w := looking(t, solving)
			s.write(t, lsdyna.KillFile, text+"\n")
			look(t, w)
			s.write(t, "stdout", solving+event(2, "write d3dump01 file"))
			v := look(t, w)
			must.Eq(t, removed, lies(t, s) == "")
			must.Eq(t, text == "sw3." || text == "sw4.", v.Switch != nil)
		})
	}
	t.Run("in a folder that is another run's by now", func(t *testing.T) {
		s := newServer(t)
		plantOwner(t, openFolder(t, s.dir), ownerHere("b", living(t)))
		s.write(t, "stdout", solving)
		s.write(t, lsdyna.KillFile, "sw3.\n")
		w := s.watch(t, func(o *Options) { o.Run, o.interval = "a", time.Hour })
		await(t, w, "a look", func(v View) bool { return v.Looks > 0 })
		s.write(t, "stdout", solving+event(2, "write d3dump01 file"))
		_, err := w.Look(soon(t))
		mustOwned(t, err)
		must.Eq(t, "sw3.", lies(t, s))
	})
}

// A plugin that comes after the one that sent a switch may find it, or its effect, or
// neither.
func TestWatcher_switchOfAnEarlierPlugin(t *testing.T) {
	const dumped = "     101 t 1.0100E-02 dt 1.00E-04 write d3dump01 file          12/21/25 20:15:17\n"
	for name, c := range map[string]struct {
		sent, lies bool
		printed    string
		want       string // what lies there then
		begun      bool
	}{
		"it lies there":                          {false, true, "", "sw3.", false},
		"it lies there, and has had its effect":  {false, true, dumped, "", true},
		"it has had its effect":                  {false, false, dumped, "", true},
		"it was not written":                     {false, false, "", "sw3.", false},
		"it was written, and the solver took it": {true, false, "", "", false},
		"it was written, and has had its effect": {true, true, dumped, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			s, w := looking(t, solving)
			if c.lies {
				s.write(t, lsdyna.KillFile, "sw3.\n")
			}
			s.write(t, "stdout", solving+c.printed)
			asked := time.Now().Add(-time.Minute)
			must.NoError(t, w.Send(soon(t), Sending{Switch: mustSwitch(t, "sw3"), Asked: asked, Again: true, Sent: c.sent}))
			v := look(t, w)
			must.Eq(t, c.want, lies(t, s))
			must.True(t, v.Switch.Asked.Equal(asked))
			must.Eq(t, c.begun, hasBegun(v.Switch.Switch, v.Switch.Before, v.Switch.Marks, v.Snapshot))
		})
	}
}

// Of two switches the first dump is the first one's, also where the second ends the run.
func TestWatcher_stopWhileACheckpointIsOnItsWay(t *testing.T) {
	for name, taken := range map[string]bool{"before the solver took it": false, "after that": true} {
		t.Run(name, func(t *testing.T) {
			s, w := looking(t, solving)
			must.NoError(t, w.Send(soon(t), Sending{Switch: mustSwitch(t, "sw3")}))
			must.ErrorIs(t, w.Send(soon(t), Sending{Switch: mustSwitch(t, "sw4")}), killfile.ErrPending)
			if taken {
				must.NoError(t, os.Remove(filepath.Join(s.dir, lsdyna.KillFile)))
			}
			must.NoError(t, w.Send(soon(t), Sending{Switch: mustSwitch(t, "sw1")}))
			must.Eq(t, "sw1.", lies(t, s))
			must.Eq(t, !taken, w.View().Former.Replaced)
			printed := solving
			if taken {
				s.write(t, "d3dump01", "a dump")
				printed += event(2, "write d3dump01 file")
			}
			s.write(t, "d3dump02", "a dump")
			s.write(t, "stdout", printed+" *** kill file detected - terminating ****\n"+event(3, "write d3dump02 file"))
			v, err := w.Finish(soon(t))
			must.NoError(t, err)
			must.Eq(t, "d3dump02", v.Switch.Dump.Dump.Name)
			must.Eq(t, taken, v.Former.Dump.Said)
			if taken {
				must.Eq(t, "d3dump01", v.Former.Dump.Dump.Name)
			}
			must.Eq(t, "", lies(t, s))
		})
	}
}

func TestWatcher_switchIsNotWrittenUnlessItMayBe(t *testing.T) {
	s, w := looking(t, solving)
	stopped := errors.New("stopped")
	must.ErrorIs(t, w.Send(soon(t), Sending{Switch: mustSwitch(t, "sw3"), Unless: func() error { return stopped }}), stopped)
	must.Eq(t, "", lies(t, s))
	must.Nil(t, w.View().Switch)
}

// Looks come ever more seldom while the solver does not look itself: one that has looked
// after a second does so once more after another.
func TestSentSwitch_pause(t *testing.T) {
	const usual = 2 * time.Second
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	for name, c := range map[string]struct {
		view SwitchView
		most time.Duration
	}{
		"just written":             {SwitchView{Asked: ago(0)}, quickest},
		"written a second ago":     {SwitchView{Asked: ago(time.Second)}, 240 * time.Millisecond},
		"written an hour ago":      {SwitchView{Asked: ago(time.Hour)}, usual},
		"taken just now":           {SwitchView{Asked: ago(time.Hour), Taken: ago(0)}, switchInterval},
		"taken long ago":           {SwitchView{Asked: ago(time.Hour), Taken: ago(time.Minute)}, usual},
		"one that ends the run":    {SwitchView{Asked: ago(time.Hour), Switch: lsdyna.Switch{Terminates: true}}, switchInterval},
		"nothing more to wait for": {SwitchView{Asked: ago(0), Seen: true}, usual},
	} {
		s := sentSwitch{view: c.view}
		must.LessEq(t, c.most, s.pause(usual), must.Sprint(name))
		must.Greater(t, c.most/2, s.pause(usual), must.Sprint(name))
	}
}

// What nobody can see is not waited for without end.
func TestSentSwitch_isNotWaitedForWithoutEnd(t *testing.T) {
	long := time.Now().Add(-2 * effectPatience)
	taken := func(sw string) *sentSwitch {
		return &sentSwitch{view: SwitchView{Switch: mustSwitch(t, sw), Asked: long, Taken: long}}
	}
	for name, c := range map[string]struct {
		sent          *sentSwitch
		now           output.Snapshot
		seen, givenUp bool
	}{
		"no dump comes":                 {taken("sw3"), output.Snapshot{}, false, true},
		"no plot state comes":           {taken("sw4"), output.Snapshot{}, false, true},
		"an effect that nobody can see": {taken("swn"), output.Snapshot{}, true, false},
		"the solver does not know it":   {&sentSwitch{view: SwitchView{Switch: mustSwitch(t, "sw4"), Asked: time.Now()}}, output.Snapshot{Switching: output.Switching{SwitchLines: 1, SwitchLine: "sense switch not recognized"}}, false, true},
		"the solver has not taken it":   {&sentSwitch{view: SwitchView{Switch: mustSwitch(t, "sw3"), Asked: long}}, output.Snapshot{}, false, false},
		"one that ends the run":         {taken("sw1"), output.Snapshot{}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.sent.look(c.now, false)
			must.Eq(t, c.seen, c.sent.view.Seen)
			must.Eq(t, c.givenUp, c.sent.view.GivenUp)
		})
	}
}

// The line of a dump may come late to the file that we read, or after the dump is written:
// a solver that leaves d3kil would obey it again meanwhile. That its dump is begun is
// enough.
func TestWatcher_switchThatTheSolverLeavesAndIsSilentAbout(t *testing.T) {
	long := time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		before, after func(t *testing.T, s *server)
		sw            string
		removed       bool
	}{
		"a dump is begun": {nil, func(t *testing.T, s *server) { s.write(t, "d3dump01", "") }, "sw3", true},
		"a rank's is":     {nil, func(t *testing.T, s *server) { s.write(t, "d3dump01.0003", "x") }, "sw3", true},
		"a dump and more": {nil, func(t *testing.T, s *server) { s.write(t, "d3dump01", "") }, "swc", true},
		"an old one is written anew": {func(t *testing.T, s *server) {
			s.write(t, "d3dump01", "")
			must.NoError(t, os.Chtimes(filepath.Join(s.dir, "d3dump01"), long, long))
		}, func(t *testing.T, s *server) { s.write(t, "d3dump01", "x") }, "sw3", true},
		"an old one is there": {func(t *testing.T, s *server) {
			s.write(t, "d3dump01", "")
			must.NoError(t, os.Chtimes(filepath.Join(s.dir, "d3dump01"), long, long))
		}, nil, "sw3", false},
		"one before it is still written": {func(t *testing.T, s *server) { s.write(t, "d3dump01", "") }, func(t *testing.T, s *server) { s.write(t, "d3dump01", "xxx") }, "sw3", false},
		"another file":                   {nil, func(t *testing.T, s *server) { s.write(t, "d3plot01", "x") }, "sw3", false},
		"a switch that writes no dump":   {nil, func(t *testing.T, s *server) { s.write(t, "d3dump01", "x") }, "sw4", false},
		"one that ends the run":          {nil, func(t *testing.T, s *server) { s.write(t, "d3dump01", "x") }, "sw1", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, w := looking(t, solving)
			if c.before != nil {
				c.before(t, s)
			}
			sw := mustSwitch(t, c.sw)
			must.NoError(t, w.Send(soon(t), Sending{Switch: sw, Checkpoint: 1}))
			if c.after != nil {
				c.after(t, s)
			}
			v := look(t, w)
			must.Eq(t, c.removed, lies(t, s) == "")
			must.Eq(t, c.removed, v.Switch.Kept)
			must.False(t, v.Switch.Done(), must.Sprint("what came of it is told when it is there"))
			s.write(t, "d3dump02", "a dump")
			s.write(t, "stdout", solving+event(2, "write d3dump02 file"))
			if c.removed {
				must.Eq(t, "d3dump02", lookUntil(t, w).Dump.Dump.Name)
			}
		})
	}
}

// A disk that is full when a checkpoint is complete keeps it from being noted. When it has
// room, or the older ones are removed, it is noted all the same.
func TestWatcher_notesOnAFullDiskLater(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small disk")
	}
	for name, c := range map[string]struct {
		printed string // behind the newest dump
		room    bool
		there   bool // the older one, before there is room
	}{
		"a later start takes the dump by its output": {event(4, "flush i/o buffers"), false, false},
		"a later start needs the note":               {"", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			const options = "mode=0755,size=1m,nr_inodes="
			must.NoError(t, unix.Mount("full", s.dir, "tmpfs", 0, options+"100"))
			t.Cleanup(func() { must.NoError(t, unix.Unmount(s.dir, unix.MNT_DETACH)) })
			has := func(name string) bool { _, err := os.Lstat(filepath.Join(s.dir, name)); return err == nil }
			record := func() rundir.Record {
				r, err := openFolder(t, s.dir).ReadRecord()
				must.NoError(t, err)
				return r
			}
			must.NoError(t, openFolder(t, s.dir).WriteRecord(rundir.Record{Identity: identity.Identity{Deck: "d"}}))
			s.write(t, "stdout", solving)
			w := s.watch(t, func(o *Options) { o.interval = time.Hour })
			await(t, w, "a look", func(v View) bool { return v.Looks > 0 })
			must.NoError(t, w.Send(soon(t), Sending{Switch: mustSwitch(t, "sw3"), Checkpoint: 1}))
			must.NoError(t, os.Remove(filepath.Join(s.dir, lsdyna.KillFile)))
			s.write(t, "d3dump01", "a dump")
			s.write(t, "stdout", solving+event(2, "write d3dump01 file"))
			lookUntil(t, w)
			must.Len(t, 1, record().Asked)

			must.NoError(t, w.Send(soon(t), Sending{Switch: mustSwitch(t, "sw3"), Checkpoint: 1}))
			must.NoError(t, os.Remove(filepath.Join(s.dir, lsdyna.KillFile)))
			s.write(t, "d3dump02", "a dump")
			s.write(t, "stdout", solving+event(2, "write d3dump01 file")+event(3, "write d3dump02 file")+c.printed)
			look(t, w)                                                                        // by which the clock of the folder is known
			must.NoError(t, unix.Mount("full", s.dir, "tmpfs", unix.MS_REMOUNT, options+"5")) // itself, stdout, the record, two dumps
			for !w.View().Switch.Done() {
				_, _ = w.Look(soon(t)) // it fails
			}
			must.Eq(t, c.there, has("d3dump01"))
			if c.room {
				must.NoError(t, unix.Mount("full", s.dir, "tmpfs", unix.MS_REMOUNT, options+"100"))
			}
			for len(record().Whole) < 2 || has("d3dump01") {
				_, err := w.Look(soon(t))
				must.NoError(t, err)
			}
			must.Eq(t, "d3dump02", record().Asked[0].File)
			must.Len(t, 1, record().Asked)
		})
	}
}

// What a solver that leaves d3kil writes after that was removed is not the switch's, also
// where it is looked for at the end.
func TestWatcher_laterDumpsAreNotTheSwitchs(t *testing.T) {
	s, w := looking(t, solving)
	must.NoError(t, w.Send(soon(t), Sending{Switch: mustSwitch(t, "sw3"), Checkpoint: 1}))
	s.write(t, "d3dump01", "a dump")
	s.write(t, "stdout", solving+event(2, "write d3dump01 file"))
	must.True(t, lookUntil(t, w).Kept)
	s.write(t, "d3dump02", "the deck's own")
	s.write(t, "d3dump03", "the deck's own")
	s.write(t, "stdout", solving+event(2, "write d3dump01 file")+event(30, "write d3dump02 file")+event(60, "write d3dump03 file")+event(61, "flush i/o buffers"))
	_, err := w.Finish(soon(t))
	must.NoError(t, err)
	for _, name := range []string{"d3dump01", "d3dump02", "d3dump03"} {
		_, err := os.Lstat(filepath.Join(s.dir, name))
		must.NoError(t, err)
	}
}
