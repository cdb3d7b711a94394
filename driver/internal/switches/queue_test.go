// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package switches

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/killfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

const (
	solving = "     100 t 1.0000E-02 dt 1.00E-04 flush i/o buffers            12/21/25 20:15:16\n"
	dumped  = "     200 t 2.0000E-02 dt 1.00E-04 write d3dump01 file          12/21/25 20:15:17\n"
	plotted = "     300 t 3.0000E-02 dt 1.00E-04 write d3plot file            12/21/25 20:15:18\n"
)

// bench is a queue with a run folder, without a solver, and a record.
type bench struct {
	t       *testing.T
	dir     string
	record  *state.Record
	watcher *watch.Watcher
	queue   *Queue
	told    Told
	stopped error
	sends   sync.WaitGroup
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), record: &state.Record{Dir: t.TempDir()}}
	b.write("stdout", solving)
	b.restart()
	return b
}

// restart is what a new plugin process begins with.
func (b *bench) restart() {
	b.t.Helper()
	if b.watcher != nil {
		b.sends.Wait()
		b.watcher.Close()
		<-b.watcher.Done()
	}
	b.watcher = watch.Start(watch.Options{Open: func() (*rundir.Folder, error) { return rundir.Open(b.dir, ".") }, Follow: &rundir.FollowOptions{}})
	b.t.Cleanup(b.watcher.Close)
	b.queue = New(Options{Watcher: b.watcher, Keep: 2, Unless: func() error { return b.stopped }, Logger: hclog.NewNullLogger()})
	b.queue.Load(b.record)
	b.told = Told{}
	b.look()
}

func (b *bench) look() watch.View {
	b.t.Helper()
	v, err := b.watcher.Look(b.t.Context())
	must.NoError(b.t, err)
	return v
}

func (b *bench) write(name, text string) {
	b.t.Helper()
	must.NoError(b.t, os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o644))
}

// lies is what lies in d3kil; "" for nothing.
func (b *bench) lies() string {
	text, _ := os.ReadFile(filepath.Join(b.dir, lsdyna.KillFile))
	return strings.TrimSpace(string(text))
}

func (b *bench) send(sw string) error {
	b.t.Helper()
	parsed, err := lsdyna.ParseSwitch(sw)
	must.NoError(b.t, err)
	return b.queue.Send(b.t.Context(), parsed, false)
}

// next does what a run does in each of its rounds, and returns what was told.
func (b *bench) next() (texts []string) {
	b.t.Helper()
	if v := b.look().Switch; v != nil {
		if text := b.told.Effect(v, Ending{}); text != "" {
			texts = append(texts, text)
			b.queue.Finish(v)
		}
	}
	b.queue.Next(b.t.Context(), func(do func()) { b.sends.Go(do) }, func(text string) { texts = append(texts, text) })
	b.sends.Wait()
	return texts
}

// hears goes on until something is told.
func (b *bench) hears() string {
	b.t.Helper()
	for {
		if texts := b.next(); len(texts) > 0 {
			must.Len(b.t, 1, texts)
			return texts[0]
		}
	}
}

func (b *bench) waiting() (names []string) {
	b.t.Helper()
	s, err := b.record.ReadSwitches()
	must.NoError(b.t, err)
	for _, w := range s.Waiting {
		names = append(names, w.Name+string(w.Step))
	}
	return names
}

func TestQueue_TwoAtOnceHaveAResultEach(t *testing.T) {
	b := newBench(t)
	must.NoError(t, b.send("sw3"))
	must.Eq(t, "sw3.", b.lies())
	must.NoError(t, b.send("sw4"))
	must.Eq(t, []string{"sw3.sent", "sw4."}, b.waiting())
	must.SliceEmpty(t, b.next())
	must.Eq(t, "sw3.", b.lies(), must.Sprint("one at a time"))

	must.NoError(t, os.Remove(filepath.Join(b.dir, lsdyna.KillFile))) // the solver takes it
	must.SliceEmpty(t, b.next())
	must.Eq(t, "", b.lies(), must.Sprint("its dump is waited for"))
	b.write("d3dump01", "a dump")
	b.write("stdout", solving+dumped)
	must.StrHasPrefix(t, "Switch sw3, dump d3dump01 written at t = 2.0000E-02, ", b.hears())
	must.Eq(t, "sw4.", b.lies())
	must.Eq(t, []string{"sw4.sent"}, b.waiting())
	b.write("stdout", solving+dumped+plotted)
	must.StrHasPrefix(t, "Switch sw4: plot state written at t = 3.0000E-02, ", b.hears())
	must.Eq(t, "", b.lies(), must.Sprint("the solver has left it"))
	must.SliceEmpty(t, b.waiting())
	must.False(t, b.queue.Busy())
}

func TestQueue_IsBounded(t *testing.T) {
	b := newBench(t)
	for range maxWaiting {
		must.NoError(t, b.send("sw3"))
	}
	must.ErrorIs(t, b.send("sw3"), killfile.ErrPending)
	must.Len(t, maxWaiting, b.waiting())
}

// What a plugin has sent is followed by the next one, and what waited is sent by it.
func TestQueue_GoesOnInTheNextPlugin(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(b *bench)
		lies      string // in the end, before the dump
	}{
		"the switch lies there":        {func(*bench) {}, "sw3."},
		"the solver has taken it":      {func(b *bench) { must.NoError(b.t, os.Remove(filepath.Join(b.dir, lsdyna.KillFile))) }, ""},
		"the dump was written already": {func(b *bench) { b.write("d3dump01", "a dump"); b.write("stdout", solving+dumped) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			must.NoError(t, b.send("sw3"))
			must.NoError(t, b.send("sw4"))
			c.meanwhile(b)
			b.restart()
			b.next() // sends, or finds
			b.look()
			must.Eq(t, c.lies, b.lies())
			b.write("d3dump01", "a dump")
			b.write("stdout", solving+dumped)
			must.StrHasPrefix(t, "Switch sw3, dump d3dump01 written", b.hears())
			must.Eq(t, "sw4.", b.lies())
			b.write("stdout", solving+dumped+plotted)
			must.StrHasPrefix(t, "Switch sw4: plot state written", b.hears())
			must.SliceEmpty(t, b.waiting())
		})
	}
}

// A plugin that was killed before it could write the switch leaves it to the next.
func TestQueue_SendsWhatWasRecordedAndNotWritten(t *testing.T) {
	b := newBench(t)
	must.NoError(t, b.record.WriteSwitches(state.Switches{Checkpoints: 7, Waiting: []state.Switch{
		{Name: "sw3.", Asked: time.Now(), Step: state.SwitchSending, Checkpoint: true}, {Name: "a b", Asked: time.Now()},
	}}))
	b.restart()
	must.SliceEmpty(t, b.next())
	must.Eq(t, "sw3.", b.lies())
	b.write("d3dump01", "a dump")
	b.write("stdout", solving+dumped)
	for {
		if v := b.look().Switch; v.Done() {
			asked, n := b.queue.Finish(v)
			must.True(t, asked.Checkpoint)
			must.Eq(t, 8, n)
			break
		}
	}
	s, err := b.record.ReadSwitches()
	must.NoError(t, err)
	must.Eq(t, 8, s.Checkpoints)
}

// Where somebody else's switch lies there, one of an operator waits, and a checkpoint is
// not needed.
func TestQueue_WaitsForSomebodyElsesSwitch(t *testing.T) {
	b := newBench(t)
	b.write(lsdyna.KillFile, "what?\n")
	must.NoError(t, b.send("sw4"))
	must.Eq(t, "what?", b.lies())
	must.SliceEmpty(t, b.next())
	must.NoError(t, os.Remove(filepath.Join(b.dir, lsdyna.KillFile)))
	must.SliceEmpty(t, b.next())
	must.Eq(t, "sw4.", b.lies())
	sw3, err := lsdyna.ParseSwitch("sw3")
	must.NoError(t, err)
	must.ErrorIs(t, b.queue.Send(t.Context(), sw3, true), killfile.ErrPending)
}

func TestQueue_NothingIsSentIntoAStop(t *testing.T) {
	b := newBench(t)
	b.stopped = errors.New("the run is being stopped")
	must.ErrorIs(t, b.send("sw3"), b.stopped)
	must.Eq(t, "", b.lies())
	must.False(t, b.queue.Busy())
}

func TestQueue_RefusesWhatWaitsWhenTheRunEnds(t *testing.T) {
	b := newBench(t)
	must.NoError(t, b.send("sw3"))
	must.NoError(t, b.send("sw4"))
	must.NoError(t, b.send("swz"))
	must.Eq(t, []string{"Switch sw4 was not sent: the end", "Switch swz was not sent: the end"}, b.queue.Refuse("the end"))
	must.Eq(t, []string{"sw3.sent"}, b.waiting(), must.Sprint("that one is followed to its end"))
	must.SliceEmpty(t, b.queue.Refuse("the end"))
}

// The solver may have ended while no plugin was there to see what its switch did.
func TestQueue_RecallsTheSwitchOfARunThatIsOver(t *testing.T) {
	b := newBench(t)
	must.NoError(t, b.send("sw3"))
	b.write("d3dump01", "a dump")
	b.write("stdout", solving+dumped+plotted)
	b.restart()
	b.queue.Recall(t.Context())
	v, err := b.watcher.Finish(t.Context())
	must.NoError(t, err)
	must.StrHasPrefix(t, "Switch sw3, dump d3dump01 written", b.told.Effect(v.Switch, Ending{}))
	must.Eq(t, "", b.lies())
}

// A folder that does not answer costs the operator an answer, not the queue.
func TestQueue_FolderThatDoesNotAnswer(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sw3, err := lsdyna.ParseSwitch("sw3")
	must.NoError(t, err)
	must.Error(t, b.queue.Send(ctx, sw3, false))
	must.False(t, b.queue.Busy())
	must.NoError(t, b.send("sw3"))
}

// A switch that nobody waits for an answer of is sent when the folder answers, by whatever
// plugin process.
func TestQueue_AskedWhileTheFolderDoesNotAnswer(t *testing.T) {
	b := newBench(t)
	sw3, err := lsdyna.ParseSwitch("sw3")
	must.NoError(t, err)
	must.NoError(t, b.queue.Ask(sw3))
	must.Eq(t, []string{"sw3."}, b.waiting())
	gone, cancel := context.WithCancel(t.Context())
	cancel() // the folder does not answer in time
	b.queue.Next(gone, func(do func()) { do() }, func(text string) { t.Error(text) })
	must.Eq(t, "", b.lies())
	must.Len(t, 1, b.waiting())
	b.restart()
	must.SliceEmpty(t, b.next())
	must.Eq(t, "sw3.", b.lies())
	must.Eq(t, []string{"sw3.sent"}, b.waiting())
	b.write("d3dump01", "a dump")
	b.write("stdout", solving+dumped)
	must.StrHasPrefix(t, "Switch sw3, dump d3dump01 written", b.hears())
}

func TestQueue_WithoutARecord(t *testing.T) {
	b := newBench(t)
	b.queue = New(Options{Watcher: b.watcher, Unless: func() error { return nil }, Logger: hclog.NewNullLogger()})
	must.NoError(t, b.send("sw3"))
	must.NoError(t, b.send("sw4"))
	must.NoError(t, b.record.WriteSwitches(state.Switches{Waiting: []state.Switch{{Name: "sw2.", Asked: time.Now()}}}))
	b.queue.Load(b.record)
	must.Eq(t, []string{"sw3.sent", "sw2.", "sw4."}, b.waiting(), must.Sprint("the one that was sent stays the first"))
}

func TestOfSignal(t *testing.T) {
	for signal, want := range map[string]string{
		"SIGUSR1": "sw3", "SIGUSR2": "sw4", "swn": "swn", "SW2.": "SW2.", "swz": "swz", "endtime=0.1": "endtime=0.1",
		"SIGTERM": "", "SIGHUP": "", "SIGUSR3": "", "sigusr1": "", "TERM": "", "usr1": "", "15": "", "": "", "a b": "", "kill": "",
	} {
		name, ok := OfSignal(signal)
		must.Eq(t, want, name, must.Sprint(signal))
		must.Eq(t, want != "", ok, must.Sprint(signal))
	}
}

func TestNeither(t *testing.T) {
	for signal, words := range map[string]string{
		"stop": "nomad alloc stop ends the run", "SIGFOO": `unknown signal "SIGFOO": give a signal such as SIGTERM`,
		"endtime=x": "endtime needs a problem time above 0", "ENDTIME": "endtime needs a problem time above 0",
	} {
		must.ErrorContains(t, Neither(signal), words)
	}
}
