// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watch

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/live"
)

// answerTimeout is how long Inspect waits for one answer of a file system.
const answerTimeout = 8 * time.Second

// Inspect reads a run folder or one output file to its end, or until ctx ends. A run
// without an end is Running, with an ETA, if it is certain that it lives (package live) or
// the caller knows it, and else Unknown. The path is trusted, the folder's content is not.
//
// Reading may take as long as there is something to read. The error wraps
// rundir.ErrNoAnswer when the file system has not answered for eight seconds.
func Inspect(ctx context.Context, path string, running bool) (output.Report, error) {
	return InspectWith(ctx, path, running, nil)
}

// InspectWith is Inspect, and has the folder looked at further, while it is open: also is
// called with the report, and the name of the one output that was read, "" for a folder.
func InspectWith(ctx context.Context, path string, running bool, also func(ctx context.Context, f *rundir.Folder, file string, r output.Report)) (output.Report, error) {
	i := inspection{path: path, running: running, open: openPath, timeout: answerTimeout, also: also}
	report, err := i.run(ctx)
	if err != nil {
		return output.Report{}, fmt.Errorf("inspect: %w", err)
	}
	return report, nil
}

// inspection is one call of Inspect.
type inspection struct {
	path    string
	running bool
	open    func(path string) (folder *rundir.Folder, name string, err error)
	timeout time.Duration
	also    func(ctx context.Context, f *rundir.Folder, file string, r output.Report) // nil for nothing

	folder atomic.Pointer[rundir.Folder] // nil until it is open
}

// openPath opens a folder, or the folder of a file.
func openPath(path string) (folder *rundir.Folder, name string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", err
	}
	dir := path
	if !info.IsDir() {
		dir, name = filepath.Split(path)
	}
	folder, err = rundir.Open(cmp.Or(dir, "."), ".")
	return folder, name, err
}

// run reads in a watcher's goroutine, which is left to itself when the file system
// does not answer.
func (i *inspection) run(ctx context.Context) (report output.Report, err error) {
	name := ""
	watcher := Start(Options{Open: func() (folder *rundir.Folder, err error) {
		folder, name, err = i.open(i.path)
		i.folder.Store(folder)
		return folder, err
	}})
	defer watcher.Close()
	answering, giveUp := context.WithCancel(ctx)
	defer giveUp()
	go i.watchAnswers(answering, giveUp)
	read := make(chan output.Report, 1)
	err = watcher.Do(answering, func(folder *rundir.Folder) error {
		r, err := i.report(answering, folder, name)
		r.Path = i.path
		if err == nil && i.also != nil {
			i.also(answering, folder, name, r)
		}
		read <- r
		return err
	})
	switch {
	case ctx.Err() != nil:
		return report, ctx.Err()
	case answering.Err() != nil:
		return report, fmt.Errorf("%w for %s now: is its file server down?", rundir.ErrNoAnswer, i.timeout)
	case err != nil:
		return report, err
	}
	return <-read, nil
}

// report reads the outputs. Whether the run lives is found out before and after: one that
// ended meanwhile is read once more.
func (i *inspection) report(ctx context.Context, folder *rundir.Folder, name string) (output.Report, error) {
	proof := live.Of(folder, name)
	r, err := folder.Report(ctx, name, i.running || proof != nil)
	if i.running || proof == nil || err != nil {
		return r, err
	}
	if !proof.Holds() {
		return folder.Report(ctx, name, false)
	}
	if r.Outcome == output.Running {
		r.LivesBy = &proof.Text
	}
	return r, nil
}

// watchAnswers gives up when the file system has not answered for the timeout.
func (i *inspection) watchAnswers(ctx context.Context, giveUp func()) {
	ticker := time.NewTicker(i.timeout / 20)
	defer ticker.Stop()
	last := lastAnswer{since: time.Now()}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if last.age(i.answers(), now) >= i.timeout {
				giveUp()
				return
			}
		}
	}
}

// answers is what the file system has answered; 0 until the folder is open.
func (i *inspection) answers() int64 {
	if folder := i.folder.Load(); folder != nil {
		return 1 + folder.Answers()
	}
	return 0
}

// lastAnswer is when a file system has answered last.
type lastAnswer struct {
	answers int64
	since   time.Time
}

// age returns how long ago the last answer was, given how many there are now.
func (l *lastAnswer) age(answers int64, now time.Time) time.Duration {
	if answers != l.answers {
		l.answers, l.since = answers, now
	}
	return now.Sub(l.since)
}
