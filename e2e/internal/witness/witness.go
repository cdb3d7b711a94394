// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package witness asks the kernel itself which of a test's processes were executed,
// where, and how each of them ended: the process connector
// (Documentation/driver-api/connector.rst, linux/cn_proc.h) tells it to whoever
// listens, so that what a driver reports can be held against it. It needs root
// and CONFIG_PROC_EVENTS.
package witness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// A Life is one process from its exec to its end.
type Life struct {
	PID    int
	Start  uint64 // clock ticks after boot
	Parent int    // at the exec
	Exe    string
	Args   []string
	Env    []string
	Cwd    string // the working directory at the exec
	Folder Folder // likewise
	Exec   time.Time

	Ended  bool
	Exit   time.Time
	Known  bool // the kernel told Status
	Status syscall.WaitStatus
}

// A Folder is a folder by what the kernel knows it by, whatever paths lead there.
// The zero Folder is none.
type Folder struct{ Dev, Inode uint64 }

// FolderOf returns the folder that a path leads to. It asks no file server, which
// may hang.
func FolderOf(path string) (Folder, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &st); err != nil {
		return Folder{}, fmt.Errorf("statx %s: %w", path, err)
	}
	return Folder{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino}, nil
}

// Together reports whether both processes were alive at one moment. Where the
// kernel's word on an end is missing, the process had ended when that was noticed.
func (l *Life) Together(o *Life) bool {
	return (!l.Ended || o.Exec.Before(l.Exit)) && (!o.Ended || l.Exec.Before(o.Exit))
}

// Witness collects the lives of the processes that matter.
type Witness struct {
	matters func(proc.Process, []string) bool
	socket  int

	mu    sync.Mutex
	lives []*Life
	now   map[int]*Life // those not ended, by process id
	gaps  int
	err   error
}

// Constants of linux/connector.h and linux/cn_proc.h.
const (
	idxProc, valProc = 1, 1
	mcastListen      = 1
	eventExec        = 0x00000002
	eventExit        = 0x80000000
	nlHeader         = 16
	cnHeader         = 20
	eventHeader      = 16 // what, cpu, timestamp
)

// New listens from now on. matters picks the processes to remember, by what they
// are just after their exec and the environment they were given.
func New(matters func(p proc.Process, env []string) bool) (*Witness, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, fmt.Errorf("process connector: %w", err)
	}
	w := &Witness{matters: matters, socket: fd, now: map[int]*Life{}}
	if err := w.subscribe(); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("process connector (needs root and CONFIG_PROC_EVENTS): %w", err)
	}
	go w.listen()
	return w, nil
}

func (w *Witness) subscribe() error {
	// Other work on the machine makes events by the thousand.
	_ = unix.SetsockoptInt(w.socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
	_ = unix.SetsockoptTimeval(w.socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	if err := unix.Bind(w.socket, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: idxProc}); err != nil {
		return err
	}
	msg := make([]byte, nlHeader+cnHeader+4)
	order := binary.NativeEndian
	order.PutUint32(msg[0:], uint32(len(msg)))
	order.PutUint16(msg[4:], unix.NLMSG_DONE)
	order.PutUint32(msg[nlHeader:], idxProc)
	order.PutUint32(msg[nlHeader+4:], valProc)
	order.PutUint16(msg[nlHeader+16:], 4)
	order.PutUint32(msg[nlHeader+cnHeader:], mcastListen)
	return unix.Sendto(w.socket, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// Close ends the witness.
func (w *Witness) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.socket < 0 {
		return nil
	}
	fd := w.socket
	w.socket = -1
	return unix.Close(fd)
}

func (w *Witness) listen() {
	buf := make([]byte, 8192)
	for {
		w.mu.Lock()
		fd := w.socket
		w.mu.Unlock()
		if fd < 0 {
			return
		}
		n, _, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case err == nil:
			w.take(buf[:n])
		case errors.Is(err, unix.ENOBUFS): // the kernel had to drop some
			w.mu.Lock()
			w.gaps++
			w.mu.Unlock()
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		default:
			w.mu.Lock()
			if w.socket >= 0 {
				w.err = fmt.Errorf("process connector: %w", err)
			}
			w.mu.Unlock()
			return
		}
	}
}

// An event is what one message of the connector says of a process.
type event struct {
	exec   bool // else its end
	pid    int
	status syscall.WaitStatus
	at     time.Duration // CLOCK_MONOTONIC
}

// parse takes a message apart. Most are of no interest: forks, ends of threads.
func parse(msg []byte) (event, bool) {
	if len(msg) < nlHeader+cnHeader+eventHeader+8 {
		return event{}, false
	}
	order := binary.NativeEndian
	body := msg[nlHeader+cnHeader:]
	what := order.Uint32(body)
	e := event{at: time.Duration(order.Uint64(body[8:]))}
	pid, leader := order.Uint32(body[eventHeader:]), order.Uint32(body[eventHeader+4:])
	e.pid = int(leader)
	switch {
	case what == eventExec:
		e.exec = true
		return e, true
	case what == eventExit && pid == leader && len(body) >= eventHeader+12:
		e.status = syscall.WaitStatus(order.Uint32(body[eventHeader+8:]))
		return e, true
	}
	return event{}, false
}

func (w *Witness) take(msg []byte) {
	e, ok := parse(msg)
	if !ok {
		return
	}
	if e.exec {
		w.executed(e)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.now[e.pid]; l != nil {
		delete(w.now, e.pid)
		l.Ended, l.Exit, l.Known, l.Status = true, wall(e.at), true, e.status
	}
}

func (w *Witness) executed(e event) {
	p, err := proc.Read(e.pid)
	if err != nil {
		return // too short a life to matter
	}
	env, _ := proc.Environ(e.pid)
	if !w.matters(p, env) {
		return
	}
	// A process that has just ended has no folder any more.
	folder, _ := FolderOf(fmt.Sprintf("%s/%d/cwd", proc.Root, e.pid))
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.now[e.pid]
	if l == nil || l.Start != p.StartTicks { // else e.g. a script that became the solver
		l = &Life{PID: p.PID, Start: p.StartTicks, Parent: p.PPID}
		w.lives = append(w.lives, l)
		w.now[p.PID] = l
	}
	l.Exe, l.Args, l.Env, l.Cwd, l.Folder, l.Exec = p.Exe, p.Args, env, p.Cwd, folder, wall(e.at)
}

// wall converts the kernel's clock.
func wall(at time.Duration) time.Time {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return time.Now()
	}
	return time.Now().Add(at - time.Duration(now.Nano()))
}

// Reconcile compares what was heard with the processes there are: a message may
// have been lost. Ends found in this way have no known status.
func (w *Witness) Reconcile(all []proc.Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	there := map[int]uint64{}
	for _, p := range all {
		if p.Alive() {
			there[p.PID] = p.StartTicks
		}
	}
	for pid, l := range w.now {
		if now, err := proc.Read(pid); there[pid] != l.Start && (err != nil || now.StartTicks != l.Start) {
			delete(w.now, pid)
			l.Ended, l.Exit = true, time.Now()
		}
	}
}

// Lives returns all lives so far, in the order of their execs, and how often
// messages were lost.
func (w *Witness) Lives() (lives []Life, gaps int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lives {
		lives = append(lives, *l)
	}
	slices.SortStableFunc(lives, func(a, b Life) int { return a.Exec.Compare(b.Exec) })
	return lives, w.gaps, w.err
}
