// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

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

	// After the solver's end copying goes on while the reader takes
	// something within stalledDrain, and for LongestDrain at most.
	stalledDrain = 2 * time.Second
	LongestDrain = 10 * time.Second

	// drainSlack is for a copy that ends by its deadlines, on a busy machine.
	drainSlack = time.Second
)

// logCopier copies the solver's output files to Nomad's log FIFOs. The solver
// writes to files, so nothing that happens to a FIFO can touch it. At rest it
// waits for inotify.
//
// A call on an output file may never return, because its file server is dead. Only
// the goroutine of its stream makes such calls.
type logCopier struct {
	streams []*stream
	longest time.Duration // LongestDrain, but in tests
	inotify *os.File      // nil: there is none
	end     sync.WaitGroup

	mu      sync.Mutex        // guards watches
	watches map[int32]*stream // by inotify's descriptors
}

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
	mu        sync.Mutex    // guards the fields below
	writing   *os.File      // the FIFO of a write that may block
	drainEnd  time.Time     // once finishing
}

func newLogCopier(s *Spec) *logCopier {
	l := &logCopier{longest: LongestDrain, watches: map[int32]*stream{}}
	for _, path := range []string{s.StdoutFIFO, s.StderrFIFO} {
		l.streams = append(l.streams, &stream{
			source: -1, pread: syscall.Pread, path: path, wake: make(chan struct{}, 1), finishing: make(chan struct{}),
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
	wd, err := syscall.InotifyAddWatch(inotify, procfs.Root+"/self/fd/"+strconv.Itoa(s.source), syscall.IN_MODIFY)
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

func (s *stream) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// finish copies what is left. It returns after the longest drain whatever the file
// systems do.
func (l *logCopier) finish() {
	for _, s := range l.streams {
		s.mu.Lock()
		s.drainEnd = time.Now().Add(l.longest)
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
	select {
	case <-copied:
	case <-time.After(l.longest + drainSlack):
		fmt.Fprintln(os.Stderr, stamp(), "copy the log: the file system of the output files does not answer")
	}
}

func (s *stream) isFinishing() bool {
	select {
	case <-s.finishing:
		return true
	default:
		return false
	}
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
func (s *stream) read(buf []byte) int {
	if s.source < 0 {
		return 0
	}
	for {
		n, err := s.pread(s.source, buf, s.offset)
		if err == syscall.EINTR {
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
