// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/events"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/switches"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// told is a handle without processes, and what it tells.
type told struct {
	*Handle
	events <-chan *drivers.TaskEvent
}

func newTold(t *testing.T, d state.Details, open func() (*rundir.Folder, error)) told {
	t.Helper()
	hub := events.NewHub(t.Context())
	stream := hub.Stream(state.ID{Alloc: "a", Task: "t", Invocation: "i"}, hclog.NewNullLogger())
	stream.Attach()
	h := &Handle{Events: stream, origin: origin{logger: hclog.NewNullLogger()}, life: newLife(Attached), known: make(chan struct{})}
	h.process.Store(&process{began: func() time.Time { return d.StartedAt }})
	w := watch.Start(watch.Options{Open: open, Follow: &rundir.FollowOptions{}})
	t.Cleanup(w.Close)
	h.setDetails(d, w)
	return told{h, hub.Subscribe(t.Context())}
}

// next returns the next event's text.
func (h told) next(t *testing.T) string {
	t.Helper()
	select {
	case e := <-h.events:
		return e.Message
	case <-time.After(time.Minute):
		t.Fatal("no event")
		return ""
	}
}

func folderIn(dir string) func() (*rundir.Folder, error) {
	return func() (*rundir.Folder, error) { return rundir.Open(filepath.Dir(dir), filepath.Base(dir)) }
}

// hung is a folder whose file server does not answer before the test ends.
func hung(t *testing.T) func() (*rundir.Folder, error) {
	answer := make(chan struct{})
	t.Cleanup(func() { close(answer) })
	return func() (*rundir.Folder, error) {
		<-answer
		return nil, unix.EIO
	}
}

func TestRun_SilentSolverIsSaidToWaitForItsLicence(t *testing.T) {
	h := newTold(t, state.Details{StartedAt: time.Now().Add(-licencePatience)}, folderIn(t.TempDir()))
	s := output.Snapshot{Phase: output.PhaseLicence}
	h.checkLicence(h.run.Load(), s)
	h.checkLicence(h.run.Load(), s)
	s.LicenceGranted, s.Phase = true, output.PhaseReading
	h.checkLicence(h.run.Load(), s)
	must.StrHasPrefix(t, "Waiting for a licence, for ", h.next(t))
	must.StrHasPrefix(t, "Got a licence within ", h.next(t))
}

// A folder that does not answer says nothing of its solver, which may compute.
func TestRun_StartTimeoutNeedsALookAtTheOutputs(t *testing.T) {
	began := time.Now().Add(-time.Hour)
	d := state.Details{StartedAt: began, StartTimeout: time.Minute}
	for name, c := range map[string]struct {
		view watch.View
		ends bool
	}{
		"no look yet":              {watch.View{Snapshot: output.Snapshot{Phase: output.PhaseStarting}}, false},
		"the last look was before": {watch.View{At: began.Add(time.Second), Snapshot: output.Snapshot{Phase: output.PhaseStarting}}, false},
		"a look in time":           {watch.View{At: time.Now(), Snapshot: output.Snapshot{Phase: output.PhaseStarting}}, true},
		"it computes":              {watch.View{At: time.Now(), Snapshot: output.Snapshot{Phase: output.PhaseSolving}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTold(t, d, folderIn(t.TempDir()))
			_, err := h.advance(leave) // there is nothing to kill
			must.NoError(t, err)
			h.phase = Attached
			h.checkStart(t.Context(), h.run.Load(), c.view)
			h.routines.Wait()
			must.Eq(t, c.ends, h.why().Reason != "")
		})
	}
}

// A stop may come while the outputs are waited for: somebody waits for the end then.
func TestRun_StopShortensTheWaitForOutputs(t *testing.T) {
	h := newTold(t, state.Details{}, folderIn(t.TempDir()))
	over := h.settling(h.run.Load())
	must.False(t, over.Stopped())
	h.stopBy(time.Now())
	must.True(t, over.Stopped())
}

// What an operator sends to a run whose folder hangs comes back with a reason.
func TestRun_SwitchIntoAFolderThatDoesNotAnswer(t *testing.T) {
	h := newTold(t, state.Details{}, hung(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := h.SendSwitch(ctx, "sw3", "SIGUSR1")
	must.ErrorIs(t, err, rundir.ErrNoAnswer)
	must.ErrorContains(t, err, "SIGUSR1 is the sense switch sw3, which cannot be written")
}

func TestRun_EachSwitchIsToldOnce(t *testing.T) {
	sw3, err := lsdyna.ParseSwitch("sw3")
	must.NoError(t, err)
	sw4, err := lsdyna.ParseSwitch("sw4")
	must.NoError(t, err)
	asked := time.Now().Add(-time.Minute)
	dump := rundir.DumpState{Said: true, Exists: true, Complete: true, Dump: output.Dump{Name: "d3dump01", Time: 0.5}}
	dump.Files.Bytes = 2e6
	h := newTold(t, state.Details{}, folderIn(t.TempDir()))
	for range 2 {
		h.tellSwitch(&watch.SwitchView{Switch: sw3, Asked: asked}, switches.Ending{})
		h.tellSwitch(&watch.SwitchView{Switch: sw3, Asked: asked, Taken: asked.Add(time.Second)}, switches.Ending{})
		h.tellSwitch(&watch.SwitchView{Switch: sw3, Asked: asked, Taken: asked.Add(time.Second), Dump: dump}, switches.Ending{})
	}
	h.tellSwitch(&watch.SwitchView{Switch: sw4, Asked: asked.Add(time.Second), Plot: true, PlotTime: 0.75}, switches.Ending{})
	h.tellSwitch(&watch.SwitchView{Switch: sw4, Asked: asked.Add(2 * time.Second), Ended: true}, switches.Ending{})
	must.StrHasPrefix(t, "Switch sw3, dump d3dump01 written at t = 5.0000E-01, 2.0 MB, in ", h.next(t))
	must.StrHasPrefix(t, "Switch sw4: plot state written at t = 7.5000E-01, in ", h.next(t))
	must.Eq(t, "Switch sw4: the run ended before the solver took it", h.next(t))
}

func TestRun_FolderThatDoesNotAnswerIsSaidOnce(t *testing.T) {
	h := newTold(t, state.Details{}, folderIn(t.TempDir()))
	h.tellStalled(0)
	h.tellStalled(stalledAfter + time.Second)
	h.tellStalled(stalledAfter + time.Minute)
	h.tellStalled(0)
	must.StrHasPrefix(t, "The run folder has not answered for 31s", h.next(t))
	must.Eq(t, "The run folder answers again", h.next(t))
}

// Whoever waits for a task that is destroyed gets an answer, though not a success.
func TestAbandon_AnswersThoseWhoWait(t *testing.T) {
	h := newTold(t, state.Details{}, hung(t))
	h.abandon = func() {}
	h.Abandon()
	must.False(t, h.IsEnded(), must.Sprint("its processes live"))
	_, err := h.advance(leave)
	must.NoError(t, err)
	h.abandon = func() { must.True(t, h.IsEnded(), must.Sprint("Run gives back the folder of a run that has ended")) }
	h.Abandon()
	<-h.Ended()
	must.ErrorContains(t, h.Result().Err, "destroyed before its outputs were read")
	must.False(t, h.Result().Successful())
}

// flaky is a folder that answers its openings one after the other so; the last
// answer stays.
func flaky(dir string, answers ...error) func() (*rundir.Folder, error) {
	open := folderIn(dir)
	return func() (*rundir.Folder, error) {
		err := answers[0]
		if len(answers) > 1 {
			answers = answers[1:]
		}
		if err != nil {
			return nil, err
		}
		return open()
	}
}

// The folder of a run whose details nobody knows stays closed to others.
func TestHandle_FolderOfARunWithoutDetails(t *testing.T) {
	h := &Handle{origin: origin{logger: hclog.NewNullLogger()}, known: make(chan struct{}), life: newLife(Adopted)}
	h.process.Store(&process{spec: &supervisor.Spec{Dir: "/srv/x"}})
	must.Eq(t, "/srv/x", h.Folder())
	must.True(t, h.Attach(func() *state.Details { return nil }, pidfile.Record{}, nil))
	t.Cleanup(h.run.Load().watcher.Close)
	must.Eq(t, "/srv/x", h.Folder())
}

// A folder that fails for a moment does not cost the dump.
func TestStop_SwitchIsTriedAgain(t *testing.T) {
	dir, record := t.TempDir(), t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(dir, "stdout"), []byte("     100 t 1.0000E-02 dt 1.00E-04 flush i/o buffers            12/21/25 20:15:16\n"), 0o644))
	lock, err := durable.Lock(filepath.Join(record, durable.LockFile), os.O_RDWR|os.O_CREATE) // its supervisor lives
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, durable.Unlock(lock)) })
	p, err := supervisor.Open(record)
	must.NoError(t, err)
	t.Cleanup(p.Close)

	for name, c := range map[string]struct {
		answers []error
		written bool
	}{
		"a server that was restarted":   {[]error{nil, unix.ENOTCONN, unix.ENOENT, nil}, true},
		"a server that does not return": {[]error{nil, unix.ENOTCONN}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTold(t, state.Details{Stop: "sw1"}, flaky(dir, c.answers...))
			h.process.Store(&process{Process: p})
			w := h.run.Load().watcher
			for w.View().Snapshot.Cycle == 0 {
				<-w.Changed()
			}
			must.ErrorIs(t, w.Do(t.Context(), func(*rundir.Folder) error { return unix.ENOTCONN }), unix.ENOTCONN)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			now, patience := time.Now(), time.Second
			if c.written {
				patience = time.Hour
				go func() {
					<-h.events // that it lies there: the test has seen enough
					cancel()
				}()
			}
			must.False(t, h.stopBySwitch(ctx, state.Stop{Began: now, Deadline: now.Add(patience)}, true, "Stopping"))
			_, err := os.Lstat(filepath.Join(dir, lsdyna.KillFile))
			must.Eq(t, c.written, err == nil)
			_ = os.Remove(filepath.Join(dir, lsdyna.KillFile))
		})
	}
}

// The solver may end by the switch of an earlier plugin before this one has looked:
// what came of the stop is told all the same. Of its own stop this one knows itself
// whether a switch was sent.
func TestRun_TellsOfAStopThatAnEarlierPluginBegan(t *testing.T) {
	found := time.Now()
	for name, c := range map[string]struct {
		origin origin
		began  time.Duration // after it was found
		want   bool
	}{
		"begun before it was found":             {origin: origin{adopted: true}, began: -time.Second, want: true},
		"begun before, and over when found":     {origin: origin{adopted: true, over: true}, began: -time.Second, want: true},
		"begun by this plugin":                  {origin: origin{adopted: true}, began: time.Second},
		"of a run that this plugin has started": {began: -time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTold(t, state.Details{Stop: "sw1"}, folderIn(t.TempDir()))
			h.origin.adopted, h.over, h.found = c.origin.adopted, c.origin.over, found
			h.kept.Init(&state.Record{Dir: t.TempDir()})
			must.NoError(t, h.Record().WriteStop(state.Stop{Began: found.Add(c.began)}))
			h.recallStop(t.Context(), h.run.Load())
			must.Eq(t, c.want, h.View().Switch != nil)
		})
	}
}

func TestDescribeUnclaimed_NamesAFew(t *testing.T) {
	var runs []*Handle
	must.SliceEmpty(t, DescribeUnclaimed(runs))
	for _, alloc := range []string{"e", "d", "c", "b", "a"} {
		runs = append(runs, &Handle{ID: state.ID{Alloc: alloc, Task: "t", Invocation: "i"}})
	}
	must.StrHasPrefix(t, "1 run without an allocation: e/t (nomad-driver-lsdyna reap -kill", DescribeUnclaimed(runs[:1])[0])
	must.StrHasPrefix(t, "5 runs without an allocation: a/t, b/t, c/t, and 2 more (", DescribeUnclaimed(runs)[0])
}
