// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/rawcall"
)

// ExitVersion is the version of exit.json that this program writes.
const ExitVersion = 1

// ExitRecord is exit.json: how the task's main process ended.
type ExitRecord struct {
	Version   int    `json:"version"`
	TaskID    string `json:"task_id"`
	PID       int    `json:"pid"`        // 0 when the launch failed before there was one
	StartTime uint64 `json:"start_time"` // clock ticks after boot
	BootID    string `json:"boot_id"`

	// Code is the exit code; 128+Signal when a signal ended the process; -1
	// when it was never executed (LaunchError says why).
	Code       int  `json:"code"`
	Signal     int  `json:"signal,omitempty"`
	CoreDumped bool `json:"core_dumped,omitempty"`

	// OOMKilled: the kernel killed a process of the task's memory cgroup
	// for want of memory during the run.
	OOMKilled bool `json:"oom_killed,omitempty"`

	Rusage     Rusage    `json:"rusage"`
	FinishedAt time.Time `json:"finished_at"`

	// LaunchError is "operation object: cause" when the solver was never
	// executed.
	LaunchError string `json:"launch_error,omitempty"`
}

// Rusage is what the main process and the children it waited for used.
type Rusage struct {
	UserTime    time.Duration `json:"user_ns"`
	SystemTime  time.Duration `json:"system_ns"`
	MaxRSSBytes int64         `json:"max_rss_bytes"`
}

const maxExitBytes = 64 << 10

func writeExit(dir string, r ExitRecord) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("exit record: %w", err)
	}
	return durable.WriteFile(dir+"/"+durable.ExitFile, append(data, '\n'))
}

// ReadExit reads dir/exit.json and checks that it makes sense in itself. Whose
// it is, is for the caller to compare.
func ReadExit(dir string) (ExitRecord, error) {
	data, err := durable.ReadFile(dir+"/"+durable.ExitFile, maxExitBytes)
	if err != nil {
		return ExitRecord{}, fmt.Errorf("read exit record: %w", err)
	}
	r, err := ParseExit(data)
	if err != nil {
		return ExitRecord{}, fmt.Errorf("read exit record in %s: %w", dir, err)
	}
	return r, nil
}

// ParseExit is ReadExit for a file's content.
func ParseExit(data []byte) (ExitRecord, error) {
	var r ExitRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return ExitRecord{}, err
	}
	switch {
	case r.Version < 1 || r.Version > ExitVersion:
		return ExitRecord{}, fmt.Errorf("version %d is not one this program knows (1 to %d)", r.Version, ExitVersion)
	case r.LaunchError != "" && r.Code == -1:
		return r, nil
	case r.LaunchError != "" || r.PID <= 0 || r.StartTime == 0 || r.BootID == "":
		return ExitRecord{}, fmt.Errorf("it names no process")
	case r.Signal < 0 || r.Signal > rawcall.LastSignal || r.Signal > 0 && r.Code != 128+r.Signal:
		return ExitRecord{}, fmt.Errorf("code %d does not go with signal %d", r.Code, r.Signal)
	case r.Code < 0 || r.Code > 255:
		return ExitRecord{}, fmt.Errorf("code %d is no exit code", r.Code)
	}
	return r, nil
}
