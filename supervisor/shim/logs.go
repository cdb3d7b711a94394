// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

const (
	// logBuffer is small because there are two for every running task.
	logBuffer = 8 << 10

	// logPause follows every wake-up, so that a talkative solver costs a
	// few wake-ups a second and not one for each of its lines.
	logPause = 50 * time.Millisecond

	// A FIFO that cannot be opened or written is tried again after a pause
	// that grows from the first of these to the second.
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second

	// After the solver's end copying goes on while the reader takes something, and
	// the output file gives something, within stalledDrain.
	stalledDrain = 2 * time.Second
	// LongestDrain is how long copying goes on after the solver's end at most.
	LongestDrain = 10 * time.Second

	// drainSlack is for a copy that ends by its deadlines, on a busy machine.
	drainSlack = time.Second

	// drainLook is how often the end of the copying is looked at.
	drainLook = 100 * time.Millisecond
)

// logCopier copies the solver's output files to Nomad's log FIFOs. The solver
// writes to files, so nothing that happens to a FIFO can touch it. At rest it
// waits for inotify.
//
// A call on an output file may never return, because its file server is dead. Only
// the goroutine of its stream makes such calls.
type logCopier struct {
	streams []*stream
	inotify *os.File // nil: there is none
	end     sync.WaitGroup

	mu      sync.Mutex        // guards watches
	watches map[int32]*stream // by inotify's descriptors
}

func newLogCopier(s *Spec) *logCopier {
	l := &logCopier{watches: map[int32]*stream{}}
	for _, path := range []string{s.StdoutFIFO, s.StderrFIFO} {
		l.streams = append(l.streams, &stream{
			source: -1, pread: syscall.Pread, path: path, wake: make(chan struct{}, 1), finishing: make(chan struct{}), done: make(chan struct{}),
		})
	}
	return l
}

// take hands over the read-only descriptors of standard output and error, or of the
// one file for both, which is copied once.
func (l *logCopier) take(files []int) {
	for i, fd := range files {
		l.streams[i].source = fd
	}
}

// start begins to copy. Errors here and below are the log's alone.
func (l *logCopier) start() {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		fmt.Fprintln(os.Stderr, stamp(), "watch the output files: inotify:", err, "- copying them every", lastRetry)
	} else {
		l.inotify = os.NewFile(uintptr(fd), "inotify")
	}
	for _, s := range l.streams {
		if s.path == "" {
			continue
		}
		l.end.Go(func() {
			defer close(s.done)
			if l.inotify != nil && s.source >= 0 {
				l.watchFile(fd, s)
			}
			s.copy()
		})
	}
	if l.inotify != nil {
		go l.watch()
	}
}

// watchFile has inotify report changes of a stream's file: of the descriptor, not of
// the name, because the file is the user's and may be renamed or exchanged. What was
// written before is found by the first read.
func (l *logCopier) watchFile(inotify int, s *stream) {
	var wd int
	var err error
	s.onFile(func() {
		wd, err = syscall.InotifyAddWatch(inotify, procfs.Root+"/self/fd/"+strconv.Itoa(s.source), syscall.IN_MODIFY)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, stamp(), "watch an output file:", err)
		return
	}
	s.watched = true
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watches[int32(wd)] = s
}

// watch turns inotify's events into wake-ups.
func (l *logCopier) watch() {
	buf := make([]byte, 1024)
	for {
		n, err := l.inotify.Read(buf)
		if err != nil {
			return
		}
		for at := 0; at+syscall.SizeofInotifyEvent <= n; {
			wd := int32(binary.NativeEndian.Uint32(buf[at:]))
			name := binary.NativeEndian.Uint32(buf[at+12:])
			l.mu.Lock()
			s := l.watches[wd]
			l.mu.Unlock()
			if s != nil {
				s.nudge()
			}
			if wd < 0 { // the queue overflowed
				for _, s := range l.streams {
					s.nudge()
				}
			}
			at += syscall.SizeofInotifyEvent + int(name)
		}
		time.Sleep(logPause)
	}
}

// finish copies what is left. It returns in time whatever the file systems do.
func (l *logCopier) finish() {
	for _, s := range l.streams {
		s.mu.Lock()
		s.drainEnd = time.Now().Add(LongestDrain)
		if s.writing != nil {
			s.writing.SetWriteDeadline(time.Now().Add(stalledDrain))
		}
		s.mu.Unlock()
		close(s.finishing)
	}
	copied := make(chan struct{})
	go func() {
		l.end.Wait()
		close(copied)
	}()
	began, look := time.Now(), time.NewTicker(drainLook)
	defer look.Stop()
	for time.Since(began) < LongestDrain+drainSlack && (time.Since(began) < stalledDrain || !l.hung()) {
		select {
		case <-copied:
			return
		case <-look.C:
		}
	}
	fmt.Fprintln(os.Stderr, stamp(), "copy the log: the file system of the output files does not answer")
}

// hung reports whether no stream can do anything but wait for a file system.
func (l *logCopier) hung() bool {
	waiting := false
	for _, s := range l.streams {
		if s.path == "" || s.isDone() {
			continue
		}
		s.mu.Lock()
		since := s.reading
		s.mu.Unlock()
		if since.IsZero() || time.Since(since) < stalledDrain {
			return false
		}
		waiting = true
	}
	return waiting
}
