// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package supervisor starts, finds again, signals, moves and ends the processes
// of one task. Each task has a supervisor: this binary, re-executed (package
// supervise), which is the solver's parent, lives outside the task's cgroup and
// writes its exit record. The plugin never talks to it after the launch. It reads
// its files, waits on its pidfd, and takes a held lock as the sign of life.
//
// The package touches the record directory it is given, /proc, the task's
// cgroups and nothing else. It knows nothing of Nomad or LS-DYNA.
package supervisor

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/supervise"
)

// What a supervisor reads and writes is defined beside it.
type (
	Spec         = supervise.Spec
	User         = supervise.User
	Cgroups      = supervise.Cgroups
	CgroupMode   = supervise.CgroupMode
	Limits       = supervise.Limits
	Memory       = supervise.Memory
	MemoryPolicy = supervise.MemoryPolicy
	ExitRecord   = supervise.ExitRecord
	Rusage       = supervise.Rusage
)

const (
	CgroupNone = supervise.CgroupNone
	CgroupV1   = supervise.CgroupV1
	CgroupV2   = supervise.CgroupV2

	MemoryInherited = supervise.MemoryInherited
	MemoryLocal     = supervise.MemoryLocal
	MemoryBind      = supervise.MemoryBind
)

var (
	// ErrLocked: another process holds the record's lock: its supervisor
	// lives, or a plugin is launching it.
	ErrLocked = errors.New("the task's record is locked by a live supervisor")

	// ErrExitUnknown: the task is over and nobody can say how it ended.
	ErrExitUnknown = errors.New("exit status unknown")

	// ErrRebooted comes with ErrExitUnknown when the machine restarted
	// after the task did.
	ErrRebooted = errors.New("the host rebooted, the solver is lost")

	// ErrNoExit: there is no exit record (yet), or it is not this run's.
	ErrNoExit = errors.New("no exit record")
)

// A LaunchError says why the solver could not be executed, in the words of the
// step that failed: operation, object, cause.
type LaunchError struct{ Reason string }

func (e *LaunchError) Error() string { return e.Reason }

// WriteSpec validates the specification and writes dir/spec.json whole, setting
// its version.
func WriteSpec(dir string, spec *Spec) error { return supervise.WriteSpec(dir, spec) }

// ReadSpec reads and validates dir/spec.json.
func ReadSpec(dir string) (*Spec, error) { return supervise.ReadSpec(dir) }

// ReadExit reads and validates dir/exit.json. The record must belong to the
// process in dir/pid where there is one. The error wraps ErrNoExit when there is no
// record, or not a valid one.
func ReadExit(dir string) (ExitRecord, error) {
	pid, err := pidfile.Read(pidPath(dir))
	if err != nil && !errors.Is(err, pidfile.ErrNoCores) {
		pid = pidfile.Record{} // gone or spoiled; the directory is root's alone
	}
	return readExitOf(dir, pid)
}

// readExitOf reads dir/exit.json, which must belong to the process where that is
// known.
func readExitOf(dir string, of pidfile.Record) (ExitRecord, error) {
	exit, err := supervise.ReadExit(dir)
	if err != nil {
		return ExitRecord{}, fmt.Errorf("%w: %w", ErrNoExit, err)
	}
	ended := pidfile.Record{PID: exit.PID, StartTime: exit.StartTime, BootID: exit.BootID}
	if of.Contradicts(ended) {
		return ExitRecord{}, fmt.Errorf("%w: %s is about process %d, the task's is %d", ErrNoExit, filepath.Join(dir, supervise.ExitName), exit.PID, of.PID)
	}
	return exit, nil
}

func pidPath(dir string) string  { return filepath.Join(dir, "pid") }
func lockPath(dir string) string { return filepath.Join(dir, "lock") }

// LockRecord creates dir/lock if need be and takes its flock without waiting.
// The error wraps ErrLocked when somebody else holds it.
func LockRecord(dir string) (*os.File, error) {
	f, err := os.OpenFile(lockPath(dir), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock task record: %w", err)
	}
	for range 5 {
		err = flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		time.Sleep(2 * time.Millisecond) // it may be a mere probe (lockHeld)
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	return nil, fmt.Errorf("lock %s: %w", lockPath(dir), err)
}

// lockHeld reports whether somebody holds the record's lock. The probe takes a
// shared lock for an instant, which other probes do not mind.
func lockHeld(dir string) (bool, error) {
	f, err := os.OpenFile(lockPath(dir), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("probe lock: %w", err)
	}
	defer f.Close()
	err = flock(f, syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("probe lock %s: %w", lockPath(dir), err)
	}
	// A process that is being forked at this moment has the open file too.
	return false, flock(f, syscall.LOCK_UN)
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if err != syscall.EINTR {
			return err
		}
	}
}

// CPUWeight converts cpu.shares (2..262144, usual 1024) to cgroup v2's cpu.weight
// (1..10000, usual 100) as Nomad's raw_exec does: the curve of runc and crun
// through the two minima, maxima and defaults. 0 stays 0.
func CPUWeight(shares int64) int64 {
	switch {
	case shares <= 0:
		return 0
	case shares <= 2:
		return 1
	case shares >= 262144:
		return 10000
	}
	l := math.Log2(float64(shares))
	return int64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}
