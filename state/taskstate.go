// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"errors"
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
)

// TaskStateVersion is the version of TaskState that this plugin writes. It reads all
// versions up to it.
const TaskStateVersion = 1

// TaskState is the driver state that Nomad keeps for a running task and hands
// back to RecoverTask. It must suffice alone: Nomad does not persist the
// driver configuration of a task across a restart of the client
// (plugins/drivers/driver.go, rawDriverConfig is unexported), and the record
// below state_dir may be lost. It holds no environment and so no secrets.
type TaskState struct {
	Version int `codec:"version"`

	TaskID     string `codec:"task_id"`
	AllocID    string `codec:"alloc_id"`
	Task       string `codec:"task"`
	Invocation string `codec:"invocation"`

	PID                 int    `codec:"pid"`
	StartTicks          uint64 `codec:"start_ticks"` // clock ticks after boot
	SupervisorPID       int    `codec:"supervisor_pid"`
	SupervisorStart     uint64 `codec:"supervisor_start_ticks"`
	BootID              string `codec:"boot_id"`
	StartedAt           int64  `codec:"started_at"` // nanoseconds of the Unix epoch
	Cores               []int  `codec:"cores"`      // logical CPU indices; empty: runs without affinity
	Reserved            bool   `codec:"reserved"`   // Cores were reserved by Nomad (resources.cores)
	Details             []byte `codec:"details"`    // the record's task.json at the start
	DriverPluginVersion string `codec:"plugin_version"`
}

// ErrNewer means that a record was written by a newer plugin.
var ErrNewer = errors.New("was written by a newer version of the plugin; install that version again or stop the task")

// Validate reports why a decoded task state cannot be used.
func (s *TaskState) Validate() error {
	switch {
	case s.Version > TaskStateVersion:
		return fmt.Errorf("driver state of version %d %w", s.Version, ErrNewer)
	case s.Version < 1:
		return errors.New("driver state has no version")
	case s.TaskID == "" || s.AllocID == "" || s.Task == "" || s.Invocation == "":
		return errors.New("driver state does not name its task")
	}
	if _, err := cpuset.FromSlice(s.Cores); err != nil {
		return fmt.Errorf("cores of the driver state: %w", err)
	}
	return checkID(s.ID())
}

// ID returns the place of the task's record.
func (s *TaskState) ID() ID { return ID{Alloc: s.AllocID, Task: s.Task, Invocation: s.Invocation} }

// Started returns when the solver was started.
func (s *TaskState) Started() time.Time { return time.Unix(0, s.StartedAt) }

// Process returns what the pid file said of the processes at the start.
func (s *TaskState) Process() pidfile.Record {
	return pidfile.Record{
		PID: s.PID, Cores: s.Cores, StartTime: s.StartTicks, BootID: s.BootID,
		SupervisorPID: s.SupervisorPID, SupervisorStartTime: s.SupervisorStart,
	}
}
