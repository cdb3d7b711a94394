// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watch

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/dumps"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/workplace"
)

// How often a watcher looks at its folder: usually, and while a sense switch is
// followed. switchHaste is how long after it was taken a switch that does not end the
// run is followed closely. placeLooks is after how many looks at an open folder it is found out again
// whether its path still leads there.
const (
	lookInterval   = 2 * time.Second
	switchInterval = 200 * time.Millisecond
	switchHaste    = 10 * time.Second
	placeLooks     = 5
)

// ErrClosed is returned by requests to a watcher that was closed.
var ErrClosed = errors.New("the run folder is not watched any more")

// Options say what a Watcher watches.
type Options struct {
	// Open opens the run folder. It is called in the watcher's goroutine, again at
	// every look until it succeeds.
	Open func() (*rundir.Folder, error)

	// Follow says which outputs are read; nil: none until Watcher.Follow is called.
	Follow *rundir.FollowOptions

	// Run is the run whose folder it is (ownership.Owner.Run); "" before it is claimed.
	Run string

	// As does something with the rights of the task's user; nil: with the process's own.
	// Whatever happens in the folder happens through it, the opening too.
	As func(do func() error) error

	// Report takes errors of looks; nil: they are dropped. It must not block.
	Report func(error)

	interval time.Duration // of looks; lookInterval when 0
	farewell time.Duration // of runs that are over; ownership.Farewell when 0
}

// View is what a Watcher knows. It is a copy that nobody changes.
type View struct {
	Snapshot output.Snapshot
	Looks    int64         // finished looks at the outputs; 0: nothing is known of them yet
	At       time.Time     // when the last of them began at which the file system did not fail
	Told     bool          // Finish has read how the run ended, from stdout, if maybe not all else
	Open     bool          // the folder is open
	Err      error         // why it is not
	Dir      rundir.DirID  // the folder itself, once it was open
	Gone     error         // a *workplace.GoneError while the path does not lead to where the run's solver works
	Held     error         // why it could not be held for the run (Hold); an *ownership.OwnedError where another run has it
	Switch   *SwitchView   // the last sense switch that was sent, nil for none
	Former   *SwitchView   // the one whose place a switch took that ends the run, nil for none
	Dump     *dumps.Newest // the newest dump, nil for none
}

// Watcher owns the run folder of one run: its open descriptor, the reading of
// its outputs, and the sense switch that was sent last. One goroutine does all of
// it, because a file server may stop answering and a thread that waits for it
// cannot be interrupted. Everybody else reads the last View, which never blocks, or
// posts a request with a deadline. A request that the goroutine has not begun by
// its deadline is never done.
type Watcher struct {
	options  Options
	requests chan *folderRequest
	changed  chan struct{}
	view     atomic.Pointer[View]
	busy     atomic.Pointer[time.Time] // since when the file system is waited for
	solver   atomic.Pointer[workplace.Place]
	ctx      context.Context
	cancel   context.CancelFunc
	ended    chan struct{}

	// Of the goroutine alone.
	folder  *ownership.Folder
	follow  *rundir.Follower
	sent    *sentSwitch
	former  *sentSwitch // the one whose place sent took
	owed    []*sentSwitch
	dumps   rundir.DumpKeeper
	written dumps.Keeper
	dumped  time.Time // when it was looked how far dumps are

	holding  holding
	unplaced int    // looks since checkPlace
	reported string // the last look's error
}

// folderRequest is something to do in the folder. done takes the answer without
// a receiver.
type folderRequest struct {
	do   func() error
	done chan error
}

// Start starts to watch. Close ends it.
func Start(o Options) *Watcher {
	if o.As == nil {
		o.As = func(do func() error) error { return do() }
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	if o.interval == 0 {
		o.interval = lookInterval
	}
	if o.farewell == 0 {
		o.farewell = ownership.Farewell
	}
	w := &Watcher{
		holding: holding{run: o.Run},
		options: o, requests: make(chan *folderRequest), changed: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.view.Store(&View{Snapshot: output.Snapshot{Phase: output.PhaseStarting}})
	go w.run()
	return w
}

// View returns what is known. It never blocks.
func (w *Watcher) View() View { return *w.view.Load() }

// Changed has a value when the view changed since the last one was received. It
// is for one receiver.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// Stalled returns for how long the file system has not answered; 0 where nothing
// is asked of it.
func (w *Watcher) Stalled() time.Duration {
	since := w.busy.Load()
	if since == nil {
		return 0
	}
	return time.Since(*since)
}

// SetSolver says where the run's solver works: while the folder's path does not lead
// there, nothing is read or written under it.
func (w *Watcher) SetSolver(place workplace.Place) { w.solver.Store(&place) }

// Close ends the watching without waiting: an answer of the file system that is
// still under way is waited for by the goroutine alone. See Done.
func (w *Watcher) Close() { w.cancel() }

// Done is closed when the goroutine has ended: nothing more happens in the folder.
func (w *Watcher) Done() <-chan struct{} { return w.ended }

// Do does something in the folder with the rights of the task's user. The folder is
// opened first where it is not open yet. When the context ends first the error wraps
// rundir.ErrNoAnswer, and what was begun goes on behind it.
func (w *Watcher) Do(ctx context.Context, do func(*rundir.Folder) error) error {
	return w.post(ctx, func() error {
		if err := w.open(); err != nil {
			return err
		}
		return do(w.folder.Folder)
	})
}

// checkPlace returns a *workplace.GoneError where what lies under the folder's path is not
// this run's.
func (w *Watcher) checkPlace() error {
	w.unplaced = 0
	place := w.solver.Load()
	if place == nil {
		return nil
	}
	leads, err := place.Check(procfs.Root)
	was := w.View().Gone
	if err == nil && !leads && was == nil && w.folder != nil && w.folder.Removed() {
		// A solver that ended of it at once has no working directory that would tell.
		err = &workplace.GoneError{Path: place.Path, Removed: true}
	}
	switch {
	case err == nil && !leads:
		return was // what was certain once remains so
	case (err == nil) == (was == nil):
		return err
	}
	w.dropClaim()
	w.closeFolder()
	w.publish(func(v *View) { v.Gone = err })
	return err
}

// Follow begins to read the outputs.
func (w *Watcher) Follow(ctx context.Context, o rundir.FollowOptions) error {
	return w.Do(ctx, func(f *rundir.Folder) error {
		w.follow = rundir.NewFollower(f, o)
		return nil
	})
}

// Look reads what is new in the outputs. Without an answer in time the view is
// the last one.
func (w *Watcher) Look(ctx context.Context) (View, error) {
	err := w.post(ctx, w.look)
	return w.View(), err
}

// Finish reads the outputs of a run that is over to their end, and what came of
// the last sense switch: a switch that nobody took is removed, since it would end
// the next run that somebody starts here. Where another run has the folder by now it
// does nothing, and the error is an *ownership.OwnedError.
func (w *Watcher) Finish(ctx context.Context) (View, error) {
	err := w.Do(ctx, func(f *rundir.Folder) error {
		if w.follow == nil {
			return nil
		}
		w.keep()
		if err := w.checkMine(); err != nil {
			return err
		}
		w.follow.RepeatErrors()
		began := time.Now()
		s, err := w.follow.Drain(ctx)
		told := ctx.Err() == nil && w.follow.Told()
		w.publish(func(v *View) { v.Snapshot, v.Looks, v.At, v.Told = s, v.Looks+1, began, told })
		if ctx.Err() != nil {
			// Nobody waits any more. A switch that lies there by now may be for a
			// later run.
			return errors.Join(err, ctx.Err())
		}
		return errors.Join(err, w.followSwitch(f, s, true, true))
	})
	return w.View(), err
}

// post has the goroutine do something.
func (w *Watcher) post(ctx context.Context, do func() error) error {
	r := &folderRequest{do: do, done: make(chan error, 1)}
	select {
	case w.requests <- r:
	case <-w.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return w.noAnswer(ctx)
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return w.noAnswer(ctx)
	}
}

func (w *Watcher) noAnswer(ctx context.Context) error {
	if stalled := w.Stalled(); stalled > time.Second {
		return fmt.Errorf("%w for %s now: is its file server down? (%w)", rundir.ErrNoAnswer, stalled.Round(time.Second), context.Cause(ctx))
	}
	return fmt.Errorf("%w in time (%w)", rundir.ErrNoAnswer, context.Cause(ctx))
}

func (w *Watcher) run() {
	defer close(w.ended)
	defer w.closeFolder()
	defer w.leave()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case r := <-w.requests:
			r.done <- w.wait(r.do)
		case <-timer.C:
			if w.watching() {
				w.report(w.wait(w.look))
			}
		}
		timer.Reset(w.pause())
	}
}

// report reports an error of a look, unless it is the last one's.
func (w *Watcher) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != w.reported {
		w.options.Report(err)
	}
	w.reported = text
}

// wait does something that may take as long as the file system likes. All that a
// watcher does in its folder happens through it, so nothing happens there with more
// rights than the task's user has.
func (w *Watcher) wait(do func() error) error {
	now := time.Now()
	w.busy.Store(&now)
	defer w.busy.Store(nil)
	begun := false
	err := w.options.As(func() error {
		begun = true
		return do()
	})
	if !begun {
		err = rundir.NotOpen(err)
	}
	if lost(err) {
		w.dropClaim()
		w.closeFolder()
		w.publish(func(v *View) { v.Open, v.Err = false, err })
	}
	return err
}

func (w *Watcher) watching() bool { return w.follow != nil || w.options.Follow != nil }

// pause is how long to wait before the next look.
func (w *Watcher) pause() time.Duration {
	pause := w.options.interval
	for _, s := range []*sentSwitch{w.sent, w.former} {
		if s != nil {
			pause = min(pause, s.pause(w.options.interval))
		}
	}
	return pause
}

// open opens the folder where it is not open.
func (w *Watcher) open() error {
	if err := w.checkPlace(); err != nil {
		w.publish(func(v *View) { v.Open, v.Err = false, err })
		return rundir.NotOpen(err)
	}
	if w.folder != nil {
		return nil
	}
	folder, err := w.options.Open()
	if err != nil {
		w.publish(func(v *View) { v.Err = err })
		return rundir.NotOpen(err)
	}
	w.folder = ownership.Of(folder)
	w.folder.Farewell = w.options.farewell
	switch {
	case w.follow != nil:
		w.follow.Reopened(folder)
	case w.options.Follow != nil:
		w.follow = rundir.NewFollower(folder, *w.options.Follow)
	}
	id := folder.ID()
	w.publish(func(v *View) { v.Open, v.Err, v.Dir = true, nil, id })
	w.hold()
	return nil
}

func (w *Watcher) closeFolder() {
	if w.folder != nil {
		_ = w.folder.Close()
		w.folder = nil
	}
}

// look is one round: it opens the folder if need be, reads what is new, and sees
// what came of the last sense switch.
func (w *Watcher) look() error {
	w.unplaced++
	if w.folder == nil || w.unplaced >= placeLooks {
		if err := w.open(); err != nil {
			return err
		}
	}
	if w.follow == nil {
		return nil
	}
	w.hold()
	w.follow.RepeatErrors()
	began := time.Now()
	s, err := w.follow.Poll()
	if lost(err) {
		return err
	}
	w.publish(func(v *View) {
		v.Snapshot, v.Looks = s, v.Looks+1
		if !rundir.Unavailable(err) {
			v.At = began
		}
	})
	// First what a later start needs, then what is told.
	due := time.Since(w.dumped) >= switchInterval*3/4 // that they do not grow is told by looks some time apart
	if due {
		w.dumped = time.Now()
	}
	err = errors.Join(err, w.keepDump(s, due), w.followSwitch(w.folder.Folder, s, due, false))
	if newest, ok := w.written.Newest(w.folder.Folder, s); ok && (w.View().Dump == nil || *w.View().Dump != newest) {
		w.publish(func(v *View) { v.Dump = &newest })
	}
	return err
}

// keepDump has the run's record say that the newest dump is complete, once it is.
func (w *Watcher) keepDump(s output.Snapshot, due bool) error {
	if last := s.LastDump(); last == nil || last.Followed {
		return nil
	}
	if err := w.checkMine(); err != nil || !due {
		return err
	}
	return w.dumps.Look(w.folder.Folder, s)
}

// lost reports whether an error says that the folder's file system was mounted again,
// or that its server was restarted. The descriptor stays useless then, and the folder
// has to be opened anew.
func lost(err error) bool { return errors.Is(err, unix.ESTALE) || errors.Is(err, unix.ENOTCONN) }

// publish replaces the view by a changed copy.
func (w *Watcher) publish(change func(*View)) {
	next := *w.view.Load()
	change(&next)
	w.view.Store(&next)
	select {
	case w.changed <- struct{}{}:
	default:
	}
}
