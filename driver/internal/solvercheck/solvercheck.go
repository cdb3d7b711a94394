// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package solvercheck looks whether solvers can be started, and whether what else a
// node's configuration names is there, without waiting for a file server that does not
// answer. A system call on such a path cannot be
// ended; it can only be left alone in a goroutine, and there is one for a path.
package solvercheck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// Patience is how long an answer is waited for, from the beginning of the look.
const Patience = 3 * time.Second

// maxCommandLooks bounds the looks that hang at the paths which jobs name
// themselves (command = …): each costs a thread.
const maxCommandLooks = 256

// StatFunc is os.Stat, or what stands for it in a test.
type StatFunc func(path string) (fs.FileInfo, error)

// Kind is what a path must lead to.
type Kind int

// Kinds of what a configuration names.
const (
	Executable Kind = iota // a file that may be executed
	Folder                 // a directory
	File                   // a regular file
)

// Thing is a path with what it must lead to.
type Thing struct {
	Path string
	Kind Kind
}

// Checker looks at the files of solvers.
type Checker struct {
	stat     StatFunc
	patience time.Duration

	mu    sync.Mutex      // guards looks
	looks map[Thing]*look // those that have not ended
}

// look is one look at a path.
type look struct {
	path  string
	began time.Time
	done  chan struct{} // closed when err is there
	err   error
}

// New returns a checker that looks with os.Stat, or with what is given for it.
func New(stat StatFunc) *Checker {
	return &Checker{stat: stat, patience: Patience, looks: map[Thing]*look{}}
}

// NoAnswerError says that nothing is known of a path: the file server that it
// is on may answer later.
type NoAnswerError struct {
	Path  string
	Since time.Time // when the look began that has no answer
}

// Error names a point in time, not how long ago that is: the text is part of the
// node's health description, and each change of that is a raft write in Nomad.
func (e *NoAnswerError) Error() string {
	return fmt.Sprintf("%s does not answer since %s: is its file server down?", e.Path, e.Since.Format("2006-01-02 15:04:05 MST"))
}

// Check reports why a solver cannot be started now, or nil. It answers within
// Patience, sooner when the context is done or the path has hung for longer; the
// error is a *NoAnswerError then. A solver without a name is one that a job names.
func (c *Checker) Check(ctx context.Context, s lsdyna.Solver) error {
	looks, err := c.begin(Of(s), s.Name == "")
	for i := 0; i < len(looks) && err == nil; i++ {
		err = c.await(ctx, looks[i])
	}
	return err
}

// CheckAll is Check for everything that a node's configuration names, at once; the
// results are in its order.
func (c *Checker) CheckAll(ctx context.Context, things []Thing) []error {
	errs := make([]error, len(things))
	looks, _ := c.begin(things, false) // all begin before the first is waited for
	for i, l := range looks {
		errs[i] = c.await(ctx, l)
	}
	return errs
}

// Of returns what must be there for a solver to start.
func Of(s lsdyna.Solver) []Thing {
	if s.MPIRun == "" {
		return []Thing{{s.Path, Executable}}
	}
	return []Thing{{s.Path, Executable}, {s.MPIRun, Executable}}
}

// begin begins to look at each of some things, or joins the look at it that has not
// ended. bounded is for what jobs name.
func (c *Checker) begin(things []Thing, bounded bool) ([]*look, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var looks []*look
	for _, thing := range things {
		l := c.looks[thing]
		if l == nil && bounded && len(c.looks) >= maxCommandLooks {
			return nil, fmt.Errorf("%s: %d other paths do not answer: is a file server down?", thing.Path, len(c.looks))
		}
		if l == nil {
			l = &look{path: thing.Path, began: time.Now(), done: make(chan struct{})}
			c.looks[thing] = l
			go c.look(thing, l)
		}
		looks = append(looks, l)
	}
	return looks, nil
}

// look ends when the path answers; Wait waits for it.
func (c *Checker) look(thing Thing, l *look) {
	l.err = c.check(thing)
	c.mu.Lock()
	delete(c.looks, thing)
	c.mu.Unlock()
	close(l.done)
}

func (c *Checker) check(thing Thing) error {
	info, err := c.stat(thing.Path)
	switch {
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() == 0:
		return nil // on a file server that does not trust root: a start as the task's user tells
	case err != nil:
		return err
	case thing.Kind == Folder && !info.IsDir():
		return fmt.Errorf("%s is not a folder", thing.Path)
	case thing.Kind == File && !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", thing.Path)
	case thing.Kind == Executable && (!info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0):
		return fmt.Errorf("%s is not an executable file", thing.Path)
	}
	return nil
}

// await returns what a look found. It prefers that to the end of its patience,
// which for a path that hangs for long is over before it begins.
func (c *Checker) await(ctx context.Context, l *look) error {
	timer := time.NewTimer(time.Until(l.began.Add(c.patience)))
	defer timer.Stop()
	select {
	case <-l.done:
	case <-ctx.Done():
	case <-timer.C:
	}
	select {
	case <-l.done:
		return l.err
	default:
		return &NoAnswerError{Path: l.path, Since: l.began}
	}
}

// Wait waits until no path is being looked at, at the driver's end. A look that
// hangs does so for as long as its file server: the context bounds the wait.
func (c *Checker) Wait(ctx context.Context) error {
	for {
		l := c.oldest()
		if l == nil {
			return nil
		}
		select {
		case <-l.done:
		case <-ctx.Done():
			return &NoAnswerError{Path: l.path, Since: l.began}
		}
	}
}

// oldest returns the look that has taken the longest, nil where there is none.
func (c *Checker) oldest() (oldest *look) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.looks {
		if oldest == nil || l.began.Before(oldest.began) {
			oldest = l
		}
	}
	return oldest
}
