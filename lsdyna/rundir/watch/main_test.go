// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watch

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// server stands for the file server of a run folder: while it is down, everything
// that is done with the user's rights, and every opening, waits for it.
type server struct {
	dir  string
	down atomic.Pointer[chan struct{}]
	fail atomic.Pointer[error] // what opening says
}

func (s *server) wait() {
	if c := s.down.Load(); c != nil {
		<-*c
	}
}

// stop lets the server answer no more until it is started again.
func (s *server) stop() (start func()) {
	c := make(chan struct{})
	s.down.Store(&c)
	return func() { s.down.Store(nil); close(c) }
}

func (s *server) options() Options {
	return Options{
		Open: func() (*rundir.Folder, error) {
			s.wait()
			if err := s.fail.Load(); err != nil {
				return nil, *err
			}
			return rundir.Open(filepath.Dir(s.dir), filepath.Base(s.dir))
		},
		As:       func(do func() error) error { return do() },
		Follow:   &rundir.FollowOptions{},
		interval: time.Millisecond,
	}
}

func newServer(t *testing.T) *server { return &server{dir: t.TempDir()} }

func (s *server) write(t *testing.T, name, text string) {
	t.Helper()
	must.NoError(t, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644))
}

func (s *server) watch(t *testing.T, change ...func(*Options)) *Watcher {
	o := s.options()
	for _, c := range change {
		c(&o)
	}
	w := Start(o)
	t.Cleanup(func() {
		w.Close()
		<-w.Done()
	})
	return w
}

// await waits for a view.
func await(t *testing.T, w *Watcher, what string, is func(View) bool) View {
	t.Helper()
	end := time.After(time.Minute)
	for {
		if v := w.View(); is(v) {
			return v
		}
		select {
		case <-w.Changed():
		case <-time.After(20 * time.Millisecond): // Stalled is not announced
		case <-end:
			t.Fatalf("not seen: %s; the view is %+v", what, w.View())
		}
	}
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func expired() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

const solving = "     100 t 1.0000E-02 dt 1.00E-04 flush i/o buffers            12/21/25 20:15:16\n"
