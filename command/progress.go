// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// patience is how long a command waits for run folders. They often lie on
// network file systems, and one that does not answer must not hide the others.
const patience = 5 * time.Second

// progress is what a task's outputs say.
type progress struct {
	snapshot output.Snapshot
	read     bool  // the snapshot is of this task, if an old one
	err      error // why it is not as new as it should be
}

// reading follows the outputs of one task, each byte once.
type reading struct {
	folder   *rundir.Folder
	follower *rundir.Follower
	results  chan progress // one at a time
	pending  bool          // a result is still to come
	last     progress
}

// readings are those of all tasks, by the folder of their record.
type readings map[string]*reading

var errSilent = errors.New("the run folder's file system does not answer")

// latest reads on in the outputs of the live tasks, all at the same time, and
// returns what is known then.
func (r readings) latest(ctx context.Context, tasks []*task, patience time.Duration) map[*task]progress {
	live := map[string]bool{}
	for _, t := range tasks {
		if t.live() {
			live[t.dir] = true
			if r[t.dir] == nil {
				r[t.dir] = &reading{results: make(chan progress, 1)}
			}
			r[t.dir].start(ctx, t)
		}
	}
	deadline := time.After(patience)
	found := map[*task]progress{}
	expired := false
	for _, t := range tasks {
		if t.live() {
			found[t], expired = r[t.dir].wait(deadline, expired)
		}
	}
	r.forget(live)
	return found
}

// start begins to read on unless the last time has not ended yet.
func (r *reading) start(ctx context.Context, t *task) {
	if r.pending {
		return
	}
	r.pending = true
	go func() { r.results <- r.advance(ctx, t) }()
}

// wait returns the newest result, or the last one when the time is over.
func (r *reading) wait(deadline <-chan time.Time, expired bool) (progress, bool) {
	take := func(p progress) {
		r.pending = false
		r.last = p
	}
	if expired {
		select {
		case p := <-r.results:
			take(p)
			return r.last, true
		default:
		}
	} else {
		select {
		case p := <-r.results:
			take(p)
			return r.last, false
		case <-deadline:
		}
	}
	late := r.last
	late.err = errSilent
	return late, true
}

// advance opens the run folder at the first time and reads what is new.
func (r *reading) advance(ctx context.Context, t *task) progress {
	if r.follower == nil {
		if err := r.open(t); err != nil {
			return progress{err: err}
		}
	}
	snapshot, err := r.follower.Drain(ctx)
	return progress{snapshot: snapshot, read: true, err: err}
}

// open opens the run folder by the record, which is root's; the folder itself is
// the task's user's, and package lsdyna is careful with it.
func (r *reading) open(t *task) error {
	if t.details.RunBase == "" {
		return errors.New("the record does not name the run folder")
	}
	var old rundir.Outputs
	if len(t.details.Old) > 0 {
		if err := json.Unmarshal(t.details.Old, &old); err != nil {
			return fmt.Errorf("decode old outputs: %w", err)
		}
	}
	folder, err := rundir.Open(t.details.RunBase, cmp.Or(t.details.RunFolder, "."))
	if err != nil {
		return err
	}
	r.folder = folder
	r.follower = rundir.NewFollower(folder, rundir.FollowOptions{
		Stdout: t.details.Stdout, JobID: t.details.LSDynaJob, Old: old,
	})
	return nil
}

// forget closes what is read of tasks that have ended. A reading that has not
// returned is left to itself.
func (r readings) forget(live map[string]bool) {
	for dir, reading := range r {
		if live[dir] || reading.pending {
			continue
		}
		if reading.folder != nil {
			_ = reading.folder.Close()
		}
		delete(r, dir)
	}
}

// close closes all folders.
func (r readings) close() { r.forget(nil) }

// ratio is the part of the problem time that is behind, from 0 to 1.
func ratio(s output.Snapshot) (float64, bool) {
	if !s.HasTime || !(s.EndTime > 0) || math.IsInf(s.EndTime, 0) || math.IsNaN(s.Time) {
		return 0, false
	}
	return min(max(s.Time/s.EndTime, 0), 1), true
}

// phaseWords say what a run does while it has no progress to show.
func phaseWords(s output.Snapshot) string {
	switch s.Phase {
	case output.PhaseLicence:
		if s.LicenceWaiting {
			return "waiting for a licence"
		}
		return "asking for a licence"
	case output.PhaseReading:
		return "reading the deck"
	case output.PhaseDecomposing:
		return "decomposing the model"
	case output.PhaseInitialising:
		return "initialising"
	case output.PhaseSolving:
		return "solving, end time not known"
	case output.PhaseEnding, output.PhaseEnded:
		return "ending"
	}
	return "starting"
}
