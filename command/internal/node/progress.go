// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/health"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/workplace"
)

// FolderTimeout is how long a command waits for run folders. They often lie on
// network file systems, and one that does not answer must not hide the others.
const FolderTimeout = 2 * time.Second

// Progress is what a task's outputs say.
type Progress struct {
	Snapshot output.Snapshot
	Known    bool             // the snapshot is of this task, perhaps an old one
	Err      error            // why it is not as new as it should be
	LastRuns []output.PastRun // in its folder, the oldest first, with the task's own
	Dump     *WrittenDump     // the newest; nil where there is none, or it is not known
}

// Health is how the task's run does. Its outputs' times are by the clock of the run
// folder's file system, which is compared with this machine's: for silence of half an hour
// and more that is exact enough.
func (t *Task) Health(now time.Time) health.Health {
	if !t.Live() || t.Progress.Err != nil {
		now = time.Time{} // silence would say nothing
	}
	return t.Progress.Snapshot.Health(now)
}

var (
	errNoAnswer = fmt.Errorf("%w: is its file server down?", rundir.ErrNoAnswer)
	errUnread   = errors.New("its outputs are too large to be read in time")
)

// follower reads the outputs of one task, each byte once. A watch.Watcher's
// goroutine does it, so that nobody else waits for a file server longer than its
// context allows.
type follower struct {
	watcher *watch.Watcher
	read    atomic.Pointer[output.Snapshot] // newest, of the watcher's goroutine
	past    atomic.Pointer[[]output.PastRun]
	dump    atomic.Pointer[WrittenDump]
	shown   *output.Snapshot // newest that was returned

	outputs *rundir.Follower // of the watcher's goroutine alone; nil until the folder was open
}

// stepTime is how long is read before what is known so far is published.
const stepTime = 200 * time.Millisecond

// follow returns a follower of a task's outputs. Its run folder is the record's,
// which is root's; the folder itself is the task's user's, and is read with that
// user's rights.
func follow(t *Task) *follower {
	base, below := t.Details.RunBase, cmp.Or(t.Details.RunFolder, ".")
	f := &follower{watcher: watch.Start(watch.Options{
		Open: func() (*rundir.Folder, error) {
			if base == "" {
				return nil, errors.New("the record does not name the run folder")
			}
			return rundir.Open(base, below)
		},
		As: t.User.Do,
	})}
	f.watcher.SetSolver(workplace.Place{
		Solver: t.Process.Solver(), Path: t.RunDir(), Dir: rundir.DirID{Dev: t.Details.RunDevice, Ino: t.Details.RunInode},
	})
	return f
}

// next reads on, and returns what is known when the outputs were read to their end
// or the context ends.
func (f *follower) next(ctx context.Context, o rundir.FollowOptions) Progress {
	if f.watcher.Stalled() > FolderTimeout {
		return f.progress(errNoAnswer)
	}
	err := f.watcher.Do(ctx, func(folder *rundir.Folder) error { return f.readOn(ctx, folder, o) })
	if errors.Is(err, rundir.ErrNoAnswer) {
		err = errNoAnswer
	}
	return f.progress(err)
}

// readOn reads to the end of the outputs, and publishes what is known every now
// and then. It runs in the watcher's goroutine.
func (f *follower) readOn(ctx context.Context, folder *rundir.Folder, o rundir.FollowOptions) error {
	if f.outputs == nil {
		f.outputs = rundir.NewFollower(folder, o)
	}
	if past, err := folder.History(); err == nil { // nothing else depends on it
		f.past.Store(&past)
	}
	for {
		step, cancel := context.WithTimeout(ctx, stepTime)
		snapshot, err := f.outputs.Drain(step)
		ended := step.Err() == nil
		cancel()
		f.read.Store(&snapshot)
		if ended {
			f.dump.Store(findDump(folder, f.dump.Load(), snapshot))
			return err
		}
		if ctx.Err() != nil {
			return errUnread
		}
	}
}

// progress returns the newest snapshot. A folder that was read from meanwhile does
// answer.
func (f *follower) progress(err error) Progress {
	newest := f.read.Load()
	if newest != f.shown && errors.Is(err, rundir.ErrNoAnswer) {
		err = errUnread
	}
	f.shown = newest
	p := Progress{Err: err}
	if newest != nil {
		p.Snapshot, p.Known = *newest, true
	}
	p.Dump = f.dump.Load()
	if past := f.past.Load(); past != nil {
		p.LastRuns = *past
	}
	return p
}

// followers are those of all tasks, by the folder of their record.
type followers map[string]*follower

// read reads on in the outputs of the live tasks, all at the same time, and notes
// in each what is known then. It returns after timeout at the latest.
func (fs followers) read(ctx context.Context, live []*Task, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var wait sync.WaitGroup
	kept := map[string]bool{}
	for _, t := range live {
		kept[t.Dir] = true
		o, err := followOptions(t)
		if err != nil {
			t.Progress.Err = err
			continue
		}
		if fs[t.Dir] == nil {
			fs[t.Dir] = follow(t)
		}
		f := fs[t.Dir]
		wait.Go(func() { t.Progress = f.next(ctx, o) })
	}
	wait.Wait()
	fs.forget(kept)
}

func followOptions(t *Task) (rundir.FollowOptions, error) {
	o := rundir.FollowOptions{Stdout: t.Details.Stdout, JobID: t.Details.LSDynaJob}
	if len(t.Details.Old) > 0 {
		if err := json.Unmarshal(t.Details.Old, &o.Old); err != nil {
			return o, fmt.Errorf("decode old outputs: %w", err)
		}
	}
	return o, nil
}

// forget stops to follow the tasks that are not kept. A file server that has not
// answered is left to the watcher's goroutine.
func (fs followers) forget(kept map[string]bool) {
	for dir, f := range fs {
		if !kept[dir] {
			f.watcher.Close()
			delete(fs, dir)
		}
	}
}

// Ratio is the part of the problem time that is done, from 0 to 1.
func Ratio(s *output.Snapshot) (float64, bool) {
	if !s.HasTime || s.Relaxing || !(s.EndTime > 0) || math.IsInf(s.EndTime, 0) || math.IsNaN(s.Time) {
		return 0, false
	}
	return min(max(s.Time/s.EndTime, 0), 1), true
}

// Activity says what a run does while it has no progress to show; in 11 columns where that
// is to be short.
func Activity(s *output.Snapshot, short bool) string {
	long, word := activity(s)
	if short {
		return word
	}
	return long
}

func activity(s *output.Snapshot) (long, short string) {
	switch s.Phase {
	case output.PhaseLicence:
		if s.LicenceWaiting {
			return "waiting for a licence", "no licence"
		}
		return "asking for a licence", "licence?"
	case output.PhaseReading:
		return "reading the deck", "reading"
	case output.PhaseDecomposing:
		return "decomposing the model", "decomposing"
	case output.PhaseInitialising:
		return "initialising", "initialises"
	case output.PhaseSolving:
		if s.Relaxing {
			return "dynamic relaxation", "relaxing"
		}
		return "solving, end time not known", "solving"
	case output.PhaseEnding, output.PhaseEnded:
		return "ending", "ending"
	}
	if s.WaitsForNodes() {
		return "waiting for nodes", "awaits node"
	}
	return "starting", "starting"
}
