// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/internal/proctree"
)

// watched is one process that can be waited for without a thread: its pidfd
// becomes readable when it ends, and Go's poller watches that. Where there are no
// pidfds (proctree.HavePidfds), its identity is looked at now and then.
type watched struct {
	id    procfs.Identity
	fd    *os.File // nil: no pidfd
	child bool     // ours to wait for

	end  chan struct{} // closed once the process has ended (and is reaped, if a child)
	stop chan struct{}
	once sync.Once
}

// pollEvery is how often a process without a pidfd is looked at, once it has lived
// for a moment.
const pollEvery = 500 * time.Millisecond

// watchChild watches a process that this one has just started, with the pidfd
// that came with it or -1.
func watchChild(pid, pidfd int) *watched {
	w := &watched{id: procfs.Identity{PID: pid}, child: true, end: make(chan struct{}), stop: make(chan struct{})}
	w.id.StartTicks, _ = procfs.StartTicks(procfs.Root, pid) // a child's id is its own until it is waited for
	if pidfd >= 0 {
		syscall.SetNonblock(pidfd, true)
		w.fd = os.NewFile(uintptr(pidfd), "pidfd")
	}
	go w.wait()
	return w
}

// watchProcess watches any process, if it still is the one that was recorded.
func watchProcess(id procfs.Identity) (*watched, bool) {
	// The pidfd first: what is true of the id's process afterwards is true
	// of the pidfd's, because that one lives.
	fd, err := proctree.OpenPidfd(id.PID)
	w := &watched{id: id, end: make(chan struct{}), stop: make(chan struct{})}
	if err == nil {
		w.fd = os.NewFile(uintptr(fd), "pidfd")
	}
	if !id.Alive(procfs.Root) || w.fd != nil && ended(uintptr(fd)) {
		if w.fd != nil {
			w.fd.Close()
		}
		return nil, false
	}
	go w.wait()
	return w, true
}

// ended reports whether a pidfd's process has.
func ended(fd uintptr) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(poll, 0)
		if err != unix.EINTR {
			return err == nil && n > 0
		}
	}
}

func (w *watched) wait() {
	if !w.waitEnd() {
		return
	}
	if w.child {
		for {
			_, err := syscall.Wait4(w.id.PID, nil, 0, nil)
			if err != syscall.EINTR {
				break
			}
		}
	}
	close(w.end)
	w.close()
}

// waitEnd returns true at the process's end, false when it is told to stop.
func (w *watched) waitEnd() bool {
	if w.fd != nil {
		if raw, err := w.fd.SyscallConn(); err == nil && raw.Read(ended) == nil {
			return true
		}
	}
	for pause := time.Millisecond; ; pause = min(2*pause, pollEvery) {
		select {
		case <-w.stop:
			return false
		default:
		}
		now, err := procfs.ReadStat(procfs.Root, w.id.PID)
		if err != nil || now.StartTicks != w.id.StartTicks || now.Ended() {
			return true
		}
		select {
		case <-w.stop:
			return false
		case <-time.After(pause):
		}
	}
}

// close stops watching.
func (w *watched) close() {
	w.once.Do(func() {
		close(w.stop)
		if w.fd != nil {
			w.fd.Close()
		}
	})
}

// endLaunch waits for the end of a supervisor whose launch failed. It ends by itself
// once it has ended the launch stage. The error wraps ErrNotEnded while it waits for
// a stage that the kernel cannot end. It is killed where it hangs itself.
func (w *watched) endLaunch() error {
	if w.endsWithin(launchGrace) {
		return nil
	}
	below := proctree.Tree{ProcRoot: procfs.Root, Parent: w.id.PID}
	if pids, err := below.PIDs(); err != nil || len(pids) > 0 {
		return errors.Join(fmt.Errorf("end launch stage %v: %w", pids, ErrNotEnded), err)
	}
	if err := w.kill(); err != nil {
		return fmt.Errorf("end supervisor: %w", err)
	}
	if !w.endsWithin(endPatience) {
		return fmt.Errorf("end supervisor %d: %w", w.id.PID, ErrNotEnded)
	}
	return fmt.Errorf("the supervisor had to be killed after %s", launchGrace)
}

func (w *watched) endsWithin(patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.end:
		return true
	case <-timer.C:
		return false
	}
}

// kill ends the process, by its pidfd where there is one: once it has been waited
// for, its id may be another's.
func (w *watched) kill() error {
	var err error
	if w.fd == nil {
		err = syscall.Kill(w.id.PID, syscall.SIGKILL) //nolint:forbidigo // no pidfds, see proctree.HavePidfds
	} else if raw, closed := w.fd.SyscallConn(); closed == nil {
		// The descriptor is closed behind the process's end only.
		_ = raw.Control(func(fd uintptr) { err = proctree.SendPidfd(int(fd), syscall.SIGKILL) })
	}
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// held is one process, whose id may become another's, that is to be killed if need
// be and that nobody waits for.
type held struct {
	pidfd int             // -1: there are none
	id    procfs.Identity // then this is compared
}

func holdProcess(pid int) (held, error) {
	pidfd, err := proctree.OpenPidfd(pid)
	h := held{pidfd: pidfd}
	if !errors.Is(err, syscall.ENOSYS) {
		return h, err
	}
	h.id.PID = pid
	if h.id.StartTicks, err = procfs.StartTicks(procfs.Root, pid); err != nil {
		return h, err
	}
	h.id.BootID, err = procfs.BootID(procfs.Root)
	return h, err
}

func (h held) close() {
	if h.pidfd >= 0 {
		syscall.Close(h.pidfd)
	}
}

// kill ends the process. One that has ended has it already.
func (h held) kill() {
	if h.pidfd >= 0 {
		_ = proctree.SendPidfd(h.pidfd, syscall.SIGKILL)
	} else if h.id.Alive(procfs.Root) {
		syscall.Kill(h.id.PID, syscall.SIGKILL) //nolint:forbidigo // no pidfds; its identity was compared
	}
}
