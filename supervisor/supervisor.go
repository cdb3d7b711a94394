// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package supervisor starts, finds again, signals, moves and ends the processes
// of one task. Each task has a supervisor: this binary, re-executed (package shim).
// It is the solver's parent, lives outside the task's cgroup and writes its exit
// record. The plugin never talks to it after the launch: it reads its files, waits
// on its pidfd, and takes a held lock as the sign of life.
//
// The package touches the record directory it is given, /proc, the task's
// cgroups and nothing else. It knows nothing of Nomad or LS-DYNA.
package supervisor

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/internal/proctree"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/shim"
)

// What a supervisor reads and writes is defined beside it.
type (
	// Spec is everything a supervisor needs to run one task, but the environment.
	Spec = shim.Spec
	// User is who the task runs as.
	User = shim.User
	// Cgroups says where the task's processes live.
	Cgroups = shim.Cgroups
	// CgroupMode says which kind of cgroups a task has.
	CgroupMode = shim.CgroupMode
	// Limits are written to the task's cgroup before the launch.
	Limits = shim.Limits
	// Memory is a memory policy, with the NUMA nodes of MemoryBind.
	Memory = shim.Memory
	// MemoryPolicy is the kernel's memory policy that a solver is born with.
	MemoryPolicy = shim.MemoryPolicy
	// ExitRecord is exit.json: how the task's main process ended.
	ExitRecord = shim.ExitRecord
	// Rusage is what the main process and the children it waited for used.
	Rusage = shim.Rusage
)

// The constants of these types.
const (
	SpecVersion = shim.SpecVersion

	CgroupNone = shim.CgroupNone
	CgroupV1   = shim.CgroupV1
	CgroupV2   = shim.CgroupV2

	MemoryInherited = shim.MemoryInherited
	MemoryLocal     = shim.MemoryLocal
	MemoryBind      = shim.MemoryBind
)

var (
	// ErrExitUnknown means that the task is over and nobody can say how it ended.
	ErrExitUnknown = errors.New("exit status unknown")

	// ErrRebooted comes with ErrExitUnknown when the machine restarted
	// after the task did.
	ErrRebooted = errors.New("the host rebooted, the solver is lost")

	// ErrNotEnded means that a process is still there after SIGKILL. The kernel ends
	// none that waits for a disk or a dead file server.
	ErrNotEnded = proctree.ErrNotEnded

	// ErrNoExit means that there is no exit record (yet), or it is not this run's.
	ErrNoExit = errors.New("no exit record")

	// ErrForeignExit means that the exit record is about another process than the pid
	// file. One of them is wrong, and they do not tell which.
	ErrForeignExit = errors.New("the exit record and the pid file disagree")
)

// A LaunchError says why the solver could not be executed, in the text of the
// step that failed: operation, object, cause.
type LaunchError struct{ Reason string }

func (e *LaunchError) Error() string { return e.Reason }

// WriteSpec validates the specification and writes dir/spec.json whole, setting
// its version.
func WriteSpec(dir string, spec *Spec) error { return shim.WriteSpec(dir, spec) }

// ReadSpec reads and validates dir/spec.json.
func ReadSpec(dir string) (*Spec, error) { return shim.ReadSpec(dir) }

// RemoveCgroups removes the cgroup that the supervisor of a record has made, where it
// was killed before it could. It must only be called when no process of the task is
// left. A record that does not tell has none.
func RemoveCgroups(dir string) error {
	spec, err := ReadSpec(dir)
	if err != nil {
		return nil //nolint:nilerr // nothing was started by it
	}
	return spec.Cgroups.RemovePids()
}

// EmptyCpuset gives back the cores that the leaf cpuset of a record's task has of the cpuset
// above, for the case that Nomad forgets to remove it. It must only be called when no
// process of the task is left. A record that does not tell has none.
func EmptyCpuset(dir string) error {
	spec, err := ReadSpec(dir)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	return spec.Cgroups.EmptyCpuset()
}

// RemoveTaskCgroups is RemoveCgroups for a task that Nomad has forgotten: those that
// Nomad made for it go, too. scope is what Nomad calls them, <alloc id>.<task>.
func RemoveTaskCgroups(dir, scope string) error {
	spec, err := ReadSpec(dir)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	return spec.Cgroups.RemoveTask(scope)
}

// ReadExit reads and validates dir/exit.json. The record must belong to the
// process in dir/pid where there is one. The error wraps ErrNoExit when there is no
// record, or not a valid one.
func ReadExit(dir string) (ExitRecord, error) {
	pid, err := pidfile.Read(pidPath(dir))
	if err != nil && !errors.Is(err, pidfile.ErrNoCores) {
		pid = pidfile.Record{} // gone or damaged; the directory is root's alone
	}
	return ReadExitOf(dir, pid)
}

// ReadExitOf is ReadExit where the processes are known from elsewhere: the pid file is
// not asked.
func ReadExitOf(dir string, of pidfile.Record) (ExitRecord, error) {
	exit, err := shim.ReadExit(dir)
	if err != nil {
		return ExitRecord{}, fmt.Errorf("%w: %w", ErrNoExit, err)
	}
	ended := pidfile.Record{PID: exit.PID, StartTime: exit.StartTime, BootID: exit.BootID}
	if of.Contradicts(ended) {
		return ExitRecord{}, fmt.Errorf("%w (%w): %s is about process %d, the task's is %d", ErrNoExit, ErrForeignExit, filepath.Join(dir, durable.ExitFile), exit.PID, of.PID)
	}
	return exit, nil
}

func pidPath(dir string) string  { return filepath.Join(dir, durable.PIDFile) }
func lockPath(dir string) string { return filepath.Join(dir, durable.LockFile) }

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
