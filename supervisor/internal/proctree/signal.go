// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package proctree

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// The numbers of system calls since 5.x are the same on every architecture but
// alpha; package syscall's list ended before them, and x/sys/unix is too heavy
// for the supervisor.
const (
	sysPidfdSendSignal = 424
	sysPidfdOpen       = 434
)

// pidfdNonblock makes reads of the descriptor go through Go's poller (Linux 5.10).
const pidfdNonblock = syscall.O_NONBLOCK

// HavePidfds reports whether pidfds can be used. It is tried once, on this process
// itself: before Linux 5.3 there are none, and seccomp profiles of that time answer
// EPERM, which from a signal sent to somebody else means that it was not allowed.
var HavePidfds = sync.OnceValue(func() bool {
	fd, err := openPidfd(os.Getpid())
	if err == nil {
		defer syscall.Close(fd)
		err = SendPidfd(fd, 0)
	}
	// What else may fail says nothing of the kernel.
	return err == nil || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
})

// OpenPidfd opens a descriptor that refers to this very process for ever and
// becomes readable when it ends. The error wraps ENOSYS where pidfds cannot be used.
func OpenPidfd(pid int) (int, error) {
	if !HavePidfds() {
		return -1, os.NewSyscallError("pidfd_open", syscall.ENOSYS)
	}
	return openPidfd(pid)
}

// openPidfd is OpenPidfd without asking first. Before Linux 5.10 the descriptor
// cannot be non-blocking from the start, which is mended here.
func openPidfd(pid int) (int, error) {
	fd, _, errno := syscall.Syscall(sysPidfdOpen, uintptr(pid), pidfdNonblock, 0)
	if errno == syscall.EINVAL {
		fd, _, errno = syscall.Syscall(sysPidfdOpen, uintptr(pid), 0, 0)
		if errno == 0 {
			syscall.SetNonblock(int(fd), true)
		}
	}
	if errno != 0 {
		return -1, os.NewSyscallError("pidfd_open", errno)
	}
	return int(fd), nil // the kernel sets close-on-exec
}

// SendPidfd sends a signal to the process of a pidfd.
func SendPidfd(fd int, sig syscall.Signal) error {
	_, _, errno := syscall.Syscall6(sysPidfdSendSignal, uintptr(fd), uintptr(sig), 0, 0, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("pidfd_send_signal", errno)
	}
	return nil
}

// SignalMain sends a signal to the main process if it still is the one that
// was recorded, or returns os.ErrProcessDone.
func (t *Tree) SignalMain(sig syscall.Signal) error {
	if t.Main <= 0 {
		return os.ErrProcessDone
	}
	fd, err := OpenPidfd(t.Main)
	if err == nil {
		defer syscall.Close(fd)
	}
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	if p, e := procfs.ReadStat(t.ProcRoot, t.Main); e != nil || p.StartTicks != t.MainStart || p.Ended() || !t.HoldsMain() {
		return os.ErrProcessDone
	}
	if err == nil {
		err = SendPidfd(fd, sig)
	} else { // no pidfds, see HavePidfds
		err = os.NewSyscallError("kill", syscall.Kill(t.Main, sig)) //nolint:forbidigo // as above
	}
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// HoldsMain reports whether the main process is in the task's cgroup, where it
// has one: what a record says of it may be wrong.
func (t *Tree) HoldsMain() bool {
	if t.Cgroup == "" {
		return true
	}
	inside := map[int]bool{}
	return cgroupPIDs(t.Cgroup, inside) == nil && inside[t.Main]
}

// SignalAll sends a signal to every process of the task. A process that
// appears meanwhile may be missed.
//
// A process id may change hands between a listing and a signal. So a pidfd is
// opened first and the id must be listed again afterwards: then it is a process
// of the task's that gets the signal, whoever it is.
func (t *Tree) SignalAll(sig syscall.Signal) error {
	before, err := t.PIDs()
	if err != nil {
		return err
	}
	fds := make(map[int]int, len(before))
	defer func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
	}()
	for _, pid := range before {
		fd, err := OpenPidfd(pid)
		if errors.Is(err, syscall.ENOSYS) {
			return t.signalListed(before, sig)
		}
		if err == nil {
			fds[pid] = fd
		}
	}
	after, err := t.PIDs()
	if err != nil {
		return err
	}
	var failed error
	for _, pid := range after {
		if fd, ok := fds[pid]; ok {
			if err := SendPidfd(fd, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
				failed = err
			}
		}
	}
	return failed
}

func (t *Tree) signalListed(pids []int, sig syscall.Signal) error {
	var failed error
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH { //nolint:forbidigo // no pidfds, see HavePidfds
			failed = os.NewSyscallError("kill", err)
		}
	}
	return failed
}

// longestPause is how long Repeat waits between two attempts at most.
const longestPause = 500 * time.Millisecond

// Repeat calls kill until it reports that nothing is left, or stop is closed: then it
// returns kill's last error. Pauses grow with the time it takes.
func Repeat(stop <-chan struct{}, kill func() (empty bool, err error)) error {
	for pause := time.Millisecond; ; pause = min(2*pause, longestPause) {
		empty, err := kill()
		if empty {
			return nil
		}
		select {
		case <-stop:
			return cmp.Or(err, ErrNotEnded)
		case <-time.After(pause):
		}
	}
}

// ErrNotEnded means that a process did not end in time: the kernel ends none that
// waits for a disk or a file server.
var ErrNotEnded = errors.New("still there after SIGKILL")

// KillOnce sends SIGKILL to every process of the task, and reports whether none was
// left before it did. It is to be repeated until then.
func (t *Tree) KillOnce() (empty bool, err error) {
	pids, err := t.PIDs()
	if err != nil || len(pids) == 0 {
		return err == nil, err
	}
	switch {
	case t.Cgroup == "":
	case t.V2 && writeCgroup(t.Cgroup, "cgroup.kill", "1") == nil: // Linux 5.14
	case t.V2:
		// Frozen, the processes cannot fork while they are counted.
		if writeCgroup(t.Cgroup, "cgroup.freeze", "1") == nil {
			defer func() { _ = writeCgroup(t.Cgroup, "cgroup.freeze", "0") }()
		}
	default:
		if freezeV1(t.Cgroup) == nil {
			defer func() { _ = writeCgroup(t.Cgroup, "freezer.state", "THAWED") }()
		}
	}
	return false, t.SignalAll(syscall.SIGKILL)
}

// freezeV1 freezes a v1 freezer cgroup, and waits a moment for it: a process
// in an uninterruptible sleep freezes late or never, and is killed all the same.
func freezeV1(dir string) error {
	if err := writeCgroup(dir, "freezer.state", "FROZEN"); err != nil {
		return err
	}
	for pause := time.Millisecond; pause < 100*time.Millisecond; pause *= 2 {
		state, err := os.ReadFile(dir + "/freezer.state")
		if err != nil || strings.TrimSpace(string(state)) == "FROZEN" {
			return err
		}
		time.Sleep(pause) //nolint:forbidigo // a tenth of a second in all
	}
	return nil
}

// writeCgroup writes one value to a cgroup's interface file. It never creates
// one: a missing file is an error.
func writeCgroup(dir, name, value string) error {
	f, err := os.OpenFile(dir+"/"+name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// WriteCgroup is writeCgroup for a value that is written where the kernel has
// the file: without the file it reports false and no error.
func WriteCgroup(dir, name, value string) (bool, error) {
	err := writeCgroup(dir, name, value)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
