// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// stream is one output file on its way into one FIFO.
type stream struct {
	source int // read-only descriptor; -1: the file goes elsewhere, only keep the FIFO open
	pread  func(fd int, p []byte, offset int64) (int, error)
	path   string
	offset int64 // of what the FIFO has not taken
	fifo   *os.File
	wake   chan struct{}

	watched bool // inotify says when there is something to copy

	finishing chan struct{} // closed when the solver and all its processes are gone
	done      chan struct{} // closed when it copies no more
	mu        sync.Mutex    // guards the fields below
	writing   *os.File      // the FIFO of a write that may block
	reading   time.Time     // since when a call on the file has not returned
	drainEnd  time.Time     // once finishing
}

func (s *stream) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *stream) isFinishing() bool { return isClosed(s.finishing) }
func (s *stream) isDone() bool      { return isClosed(s.done) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// onFile makes a call on the output file, which may not return.
func (s *stream) onFile(call func()) {
	s.setReading(time.Now())
	defer s.setReading(time.Time{})
	call()
}

func (s *stream) setReading(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = since
}

// copy runs until the file is copied after the solver's end, or there is no
// hope.
func (s *stream) copy() {
	buf := make([]byte, logBuffer)
	retry := firstRetry
	for {
		finishing := s.isFinishing() // before the read: what is read after it is all there is
		n := s.read(buf)
		if s.fifo == nil && s.open() != nil {
			if finishing && (n == 0 || s.hopeless()) {
				return
			}
			retry = s.pause(retry)
			continue
		}
		if n == 0 {
			if finishing {
				return
			}
			s.rest()
			continue
		}
		written, err := s.write(buf[:n])
		s.offset += int64(written)
		if err == nil {
			retry = firstRetry
			continue
		}
		// Mostly EPIPE: the reader is gone. Our end stays open, because with
		// it the kernel keeps what lies in the pipe for the next reader.
		s.reopenIfReplaced()
		if errors.Is(err, os.ErrDeadlineExceeded) || finishing && s.hopeless() {
			return
		}
		retry = s.pause(retry)
	}
}

// hopeless reports whether a reader had its time after the solver's end.
func (s *stream) hopeless() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.drainEnd) < LongestDrain-stalledDrain
}

// rest waits for news from the file or for the end. Without a watch (the
// user's inotify instances are used up) it looks now and then.
func (s *stream) rest() {
	if !s.watched && s.source >= 0 {
		s.pause(lastRetry)
		return
	}
	select {
	case <-s.wake:
	case <-s.finishing:
	}
}

// pause waits before another attempt, and returns for how long to wait next
// time. After the solver's end there is no time for long pauses.
func (s *stream) pause(d time.Duration) time.Duration {
	if s.isFinishing() {
		time.Sleep(firstRetry)
		return firstRetry
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.finishing:
		return firstRetry
	case <-timer.C:
		return min(2*d, lastRetry)
	}
}

// read fills buf from the offset. A file that became shorter than what was
// copied was truncated by its owner and is copied from its new beginning.
func (s *stream) read(buf []byte) (n int) {
	if s.source >= 0 {
		s.onFile(func() { n = s.readFile(buf) })
	}
	return n
}

func (s *stream) readFile(buf []byte) int {
	for {
		n, err := s.pread(s.source, buf, s.offset)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return 0
		}
		if n > 0 {
			return n
		}
		var st syscall.Stat_t
		if syscall.Fstat(s.source, &st) != nil || st.Size >= s.offset {
			return 0
		}
		s.offset = 0
	}
}

// write blocks, without holding a thread, until the FIFO has taken all of it.
func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	s.writing = s.fifo
	if !s.drainEnd.IsZero() {
		deadline := time.Now().Add(stalledDrain)
		if deadline.After(s.drainEnd) {
			deadline = s.drainEnd
		}
		s.fifo.SetWriteDeadline(deadline)
	}
	s.mu.Unlock()
	n, err := s.fifo.Write(p)
	s.mu.Lock()
	s.writing = nil
	s.mu.Unlock()
	return n, err
}

// userComponents is how many of a FIFO's path components a task's user may
// have a hand in: alloc/logs/.task.stdout.fifo below Nomad's allocation directory.
const userComponents = 3

// below splits a path before its last n components.
func below(path string, n int) (dir, rel string) {
	i := len(path)
	for ; n > 0; n-- {
		j := strings.LastIndexByte(path[:i], '/')
		if j <= 0 {
			break
		}
		i = j
	}
	if i == len(path) {
		return "/", strings.TrimPrefix(path, "/")
	}
	return path[:i], path[i+1:]
}

// open opens the FIFO for writing if it has a reader. The user cannot lead us
// out of the allocation directory, and whatever is not a FIFO is left alone.
func (s *stream) open() error {
	dir, rel := below(s.path, userComponents)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Lstat(rel)
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeNamedPipe {
		return fmt.Errorf("%s is not a FIFO", s.path)
	}
	f, err := root.OpenFile(rel, os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	if info, err := f.Stat(); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		f.Close()
		return fmt.Errorf("%s is not a FIFO", s.path)
	}
	s.fifo = f
	return nil
}

// reopenIfReplaced lets go of a FIFO that was removed or exchanged, after a
// reboot of the client's host for instance, and takes back what it still held.
func (s *stream) reopenIfReplaced() {
	dir, rel := below(s.path, userComponents)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return
	}
	defer root.Close()
	now, err := root.Lstat(rel)
	if err != nil {
		return
	}
	if held, err := s.fifo.Stat(); err == nil && os.SameFile(now, held) {
		return
	}
	s.offset = max(0, s.offset-unread(s.fifo))
	s.fifo.Close()
	s.fifo = nil
}

// unread counts the bytes in a pipe that nobody has read yet.
func unread(f *os.File) int64 {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	var n int32
	// Without the descriptor nothing is counted.
	_ = raw.Control(func(fd uintptr) {
		const fionread = 0x541B
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, fionread, uintptr(unsafe.Pointer(&n))); errno != 0 {
			n = 0
		}
	})
	return int64(n)
}
