// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package solvercheck looks whether solvers can be started, without waiting for
// a file server that does not answer. A system call on such a path cannot be
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

// Checker looks at the files of solvers.
type Checker struct {
	stat     StatFunc
	patience time.Duration

	mu    sync.Mutex       // guards looks
	looks map[string]*look // by path: those that have not ended
}

// look is one look at a path.
type look struct {
	began time.Time
	done  chan struct{} // closed when err is there
	err   error
}

// New returns a checker that looks with os.Stat, or with what is given for it.
func New(stat StatFunc) *Checker {
	return &Checker{stat: stat, patience: Patience, looks: map[string]*look{}}
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
// error is a *NoAnswerError then.
func (c *Checker) Check(ctx context.Context, s lsdyna.Solver) error {
	return c.CheckAll(ctx, []lsdyna.Solver{s})[0]
}

// CheckAll is Check for several solvers at once; the results are in their order.
func (c *Checker) CheckAll(ctx context.Context, solvers []lsdyna.Solver) []error {
	looks := make([][]*look, len(solvers))
	errs := make([]error, len(solvers))
	for i, s := range solvers { // all begin before the first is waited for
		looks[i], errs[i] = c.begin(s)
	}
	for i, s := range solvers {
		for j := 0; j < len(looks[i]) && errs[i] == nil; j++ {
			errs[i] = c.await(ctx, paths(s)[j], looks[i][j])
		}
	}
	return errs
}

// paths returns what must be there for a solver to start.
func paths(s lsdyna.Solver) []string {
	if s.MPIRun == "" {
		return []string{s.Path}
	}
	return []string{s.Path, s.MPIRun}
}

// begin begins to look at each path of a solver, or joins the look at it that
// has not ended.
func (c *Checker) begin(s lsdyna.Solver) ([]*look, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var looks []*look
	for _, path := range paths(s) {
		l := c.looks[path]
		if l == nil && s.Name == "" && len(c.looks) >= maxCommandLooks {
			return nil, fmt.Errorf("%s: %d other paths do not answer: is a file server down?", path, len(c.looks))
		}
		if l == nil {
			l = &look{began: time.Now(), done: make(chan struct{})}
			c.looks[path] = l
			go c.look(path, l)
		}
		looks = append(looks, l)
	}
	return looks, nil
}

// look ends when the path answers; Wait waits for it.
func (c *Checker) look(path string, l *look) {
	l.err = c.checkFile(path)
	c.mu.Lock()
	delete(c.looks, path)
	c.mu.Unlock()
	close(l.done)
}

func (c *Checker) checkFile(path string) error {
	info, err := c.stat(path)
	switch {
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() == 0:
		return nil // on a file server that does not trust root: a start as the task's user tells
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s is not an executable file", path)
	}
	return nil
}

// await returns what a look found. It prefers that to the end of its patience,
// which for a path that hangs for long is over before it begins.
func (c *Checker) await(ctx context.Context, path string, l *look) error {
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
		return &NoAnswerError{Path: path, Since: l.began}
	}
}

// Wait waits until no path is being looked at, at the driver's end. A look that
// hangs does so for as long as its file server: the context bounds the wait.
func (c *Checker) Wait(ctx context.Context) error {
	for {
		path, l := c.oldest()
		if l == nil {
			return nil
		}
		select {
		case <-l.done:
		case <-ctx.Done():
			return &NoAnswerError{Path: path, Since: l.began}
		}
	}
}

// oldest returns the look that has taken the longest, nil where there is none.
func (c *Checker) oldest() (path string, oldest *look) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, l := range c.looks {
		if oldest == nil || l.began.Before(oldest.began) {
			path, oldest = p, l
		}
	}
	return path, oldest
}
