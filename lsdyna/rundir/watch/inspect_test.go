// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watch

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// stalled is an inspection of a folder whose file server does not answer until the
// test ends. asked is closed when the server is asked.
func stalled(t *testing.T) (i *inspection, asked chan struct{}) {
	asked = make(chan struct{})
	down, answered := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() {
		close(down)
		<-answered
	})
	return &inspection{path: "/mnt/run", timeout: 100 * time.Millisecond, open: func(string) (*rundir.Folder, string, error) {
		defer close(answered)
		close(asked)
		<-down
		return nil, "", os.ErrNotExist
	}}, asked
}

func TestInspect_fileServerThatDoesNotAnswer(t *testing.T) {
	i, asked := stalled(t)
	_, err := i.run(t.Context())
	<-asked
	must.ErrorIs(t, err, rundir.ErrNoAnswer)
	must.ErrorContains(t, err, "does not answer for 100ms now: is its file server down?")
}

func TestInspect_canBeInterrupted(t *testing.T) {
	i, asked := stalled(t)
	i.timeout = time.Hour
	ctx, interrupt := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := i.run(ctx)
		failed <- err
	}()
	<-asked
	interrupt()
	must.ErrorIs(t, <-failed, context.Canceled)
}

// A file server that answers slowly is waited for as long as it answers.
func TestLastAnswer(t *testing.T) {
	start := time.Now()
	last := lastAnswer{since: start}
	for _, c := range []struct {
		second  int
		answers int64
		age     time.Duration
	}{{1, 0, time.Second}, {9, 0, 9 * time.Second}, {10, 1, 0}, {19, 1, 9 * time.Second}, {20, 1, 10 * time.Second}, {21, 7, 0}} {
		must.Eq(t, c.age, last.age(c.answers, start.Add(time.Duration(c.second)*time.Second)), must.Sprint(c.second))
	}
}
