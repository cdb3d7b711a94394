// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package restart

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
)

// Patience bounds how long a start reads: a deck may have tens of gigabytes, outputs of
// earlier starts too, and both may be on a slow file server.
type Patience struct {
	Silent time.Duration // while the file system answers nothing
	Whole  time.Duration
	Report time.Duration // between two reports
}

// DefaultPatience is the patience of a driver in earnest.
var DefaultPatience = Patience{Silent: time.Minute, Whole: 30 * time.Minute, Report: time.Minute}

// Why reading was given up.
var (
	ErrSilent = errors.New("its file system does not answer any more: is its file server down?")
	ErrSlow   = errors.New("that takes too long; restart = \"never\" starts without reading it")
)

// Read reads for as long as there is patience. steps counts what the file system has
// answered, and report is called now and then; both may be called while read is. cause
// is why reading was given up; nil where it was not.
func (p Patience) Read(ctx context.Context, steps func() int64, report func(), read func(context.Context) error) (cause, err error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		p.watch(ctx, steps, report, giveUp)
	}()
	err = read(ctx)
	cause = context.Cause(ctx) // before giveUp has a say
	giveUp(nil)
	<-watched
	return cause, err
}

// watch reports what is being read, and gives up when that takes too long.
func (p Patience) watch(ctx context.Context, steps func() int64, report func(), giveUp context.CancelCauseFunc) {
	reports, silent, whole := time.NewTicker(p.Report), time.NewTicker(p.Silent), time.NewTimer(p.Whole)
	defer reports.Stop()
	defer silent.Stop()
	defer whole.Stop()
	last := int64(-1)
	for {
		select {
		case <-ctx.Done():
			return
		case <-whole.C:
			giveUp(ErrSlow)
		case <-silent.C:
			now := steps()
			if now == last {
				giveUp(ErrSilent)
			}
			last = now
		case <-reports.C:
			report()
		}
	}
}

// Choose has the run folder's watcher choose where a run begins.
func (p Patience) Choose(ctx context.Context, w *watch.Watcher, r Run) (Choice, error) {
	var choice Choice
	var folder atomic.Pointer[rundir.Folder] // once it is being read
	answers := func() int64 {
		if f := folder.Load(); f != nil {
			return f.Answers()
		}
		return 0
	}
	_, err := p.Read(ctx, answers, func() {}, func(ctx context.Context) error {
		return w.Do(ctx, func(f *rundir.Folder) (err error) {
			folder.Store(f)
			choice, err = Choose(ctx, f, r)
			return err
		})
	})
	if err != nil {
		return Choice{}, err // what is still being read may yet write to choice
	}
	return choice, nil
}
