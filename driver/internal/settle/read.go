// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settle

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/workplace"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// Of reading the outputs of a run that is over.
const (
	readAttempt = 30 * time.Second // one attempt
	readNotice  = 5 * time.Second  // after which an event says that they are waited for
	readPause   = 500 * time.Millisecond
)

// Patience says how long the outputs of a run that is over are waited for when its
// folder cannot be read: file servers are restarted, and what the solver wrote
// decides whether days of computing succeeded.
type Patience struct {
	Silent  time.Duration // while the folder does not answer
	Missing time.Duration // while it answers that the folder cannot be opened
	Stopped time.Duration // at most, when the run was stopped: somebody waits for its end
	Partial time.Duration // where stdout was read, and tells the outcome
}

// Run is a run that is over, with its folder.
type Run struct {
	ID       state.ID
	Details  *state.Details
	Watcher  *watch.Watcher
	Patience Patience
	Stopped  func() bool // reports whether somebody has had it stopped by now
	Say      func(format string, args ...any)
	Logger   hclog.Logger
}

// ReadOutputs reads the last of the outputs. A folder that cannot be read is waited
// for; the error says that it could not be read in time.
func (r *Run) ReadOutputs(ctx context.Context) (watch.View, error) {
	began, told := time.Now(), false
	var missing time.Time // since when the folder cannot be opened; zero: it can, or nothing tells
	for {
		patient := readAttempt
		if !told {
			patient = readNotice
		}
		if left := r.patience(nil) - time.Since(began); left < patient {
			patient = max(left, readPause)
		}
		attempt, cancel := context.WithTimeout(ctx, patient)
		v, err := r.Watcher.Finish(attempt)
		cancel()
		if _, ok := errors.AsType[*workplace.GoneError](err); ok {
			return v, err // it does not come back
		}
		if !rundir.Unreadable(err) {
			if _, ok := errors.AsType[*ownership.OwnedError](err); ok {
				return v, err // what lies there is another run's
			}
			if err != nil {
				r.Logger.Warn("cannot read the solver's last outputs", "error", err)
			}
			return v, nil
		}
		if !isMissing(err) {
			missing = time.Time{}
		} else if missing.IsZero() {
			missing = time.Now()
		}
		if v.Told && time.Since(began) > r.Patience.Partial {
			r.Say("Not all of the solver's outputs can be read; stdout tells the outcome: %v", err)
			return v, nil
		}
		patience, since := r.patience(err), began
		if !missing.IsZero() {
			since = missing // a server that was away comes back without its folders first
		}
		if ctx.Err() != nil || time.Since(since) > patience || time.Since(began) > r.patience(nil) {
			return v, err
		}
		if !told && time.Since(began) >= readNotice {
			told = true
			r.Say("The solver has ended and its cores are free; its run folder cannot be read, waiting up to %s for it: %v", patience, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(readPause):
		}
	}
}

// ReadEnded reads what the leading node told of the end. A folder that cannot be read is
// waited for as outputs are: what is not known must be no failure of a run that completed.
func (r *Run) ReadEnded(ctx context.Context) (nodes.Ended, error) {
	for began := time.Now(); ; {
		told, err := r.tryEnded(ctx)
		if !rundir.Unreadable(err) || ctx.Err() != nil || time.Since(began) > r.patience(err) {
			return told, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(readPause):
		}
	}
}

func (r *Run) tryEnded(ctx context.Context) (nodes.Ended, error) {
	ctx, cancel := context.WithTimeout(ctx, min(readAttempt, r.patience(nil)))
	defer cancel()
	var told nodes.Ended
	err := r.Watcher.Do(ctx, func(f *rundir.Folder) (err error) {
		told, err = nodes.ReadEnded(f.Path(), r.Details.NodesKey, r.Details.NodeIndex, r.ID.Alloc)
		return err
	})
	if err != nil {
		return nodes.Ended{}, err // what is still being read may yet write to told
	}
	return told, nil
}

// patience is how long an error of reading is waited out.
func (r *Run) patience(err error) time.Duration {
	patience := r.Patience.Silent
	if isMissing(err) {
		patience = r.Patience.Missing
	}
	if r.Stopped() {
		patience = min(patience, r.Patience.Stopped)
	}
	return patience
}

// isMissing reports whether an error says that the folder cannot be opened, by a
// file system that answers and does not fail.
func isMissing(err error) bool { return errors.Is(err, rundir.ErrNotOpen) && !rundir.Unavailable(err) }
