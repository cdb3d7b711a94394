// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package pidfile

import (
	"bytes"
	"fmt"
	"strconv"
)

// BootID returns the running kernel's boot id, a UUID that changes with every
// boot. procRoot is "/proc" except in tests.
func BootID(procRoot string) (string, error) {
	data, err := ReadBounded(procRoot+"/sys/kernel/random/boot_id", 128)
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	id := string(bytes.TrimSpace(data))
	if id == "" {
		return "", fmt.Errorf("read boot id: it is empty")
	}
	return id, nil
}

// StartTime returns when a process started, in clock ticks after boot
// (proc(5), /proc/PID/stat field 22). The error wraps fs.ErrNotExist when there
// is no such process.
func StartTime(procRoot string, pid int) (uint64, error) {
	_, ticks, err := stat(procRoot, pid)
	return ticks, err
}

// Alive reports whether the process of this record still runs: the same boot,
// the same start time, and not a zombie. A record without an identity is never
// believed. Hold a pidfd opened before when the answer is acted on.
func (r Record) Alive(procRoot string) bool {
	return sameProcess(procRoot, r.BootID, r.PID, r.StartTime)
}

// SupervisorAlive is Alive for the recorded supervisor.
func (r Record) SupervisorAlive(procRoot string) bool {
	return sameProcess(procRoot, r.BootID, r.SupervisorPID, r.SupervisorStartTime)
}

// Contradicts reports whether the record names other processes than a trusted
// one of the same run. What either does not tell contradicts nothing.
func (r Record) Contradicts(trusted Record) bool {
	differ := func(a, b uint64) bool { return a != 0 && b != 0 && a != b }
	return differ(uint64(r.PID), uint64(trusted.PID)) || differ(r.StartTime, trusted.StartTime) ||
		r.BootID != "" && trusted.BootID != "" && r.BootID != trusted.BootID ||
		differ(uint64(r.SupervisorPID), uint64(trusted.SupervisorPID)) || differ(r.SupervisorStartTime, trusted.SupervisorStartTime)
}

func sameProcess(procRoot, bootID string, pid int, startTime uint64) bool {
	if pid <= 0 || startTime == 0 || bootID == "" {
		return false
	}
	if boot, err := BootID(procRoot); err != nil || boot != bootID {
		return false
	}
	state, ticks, err := stat(procRoot, pid)
	return err == nil && ticks == startTime && state != 'Z' && state != 'X'
}

// stat reads the state and the start time of a process.
func stat(procRoot string, pid int) (state byte, startTime uint64, err error) {
	data, err := ReadBounded(procRoot+"/"+strconv.Itoa(pid)+"/stat", 4096)
	if err != nil {
		return 0, 0, fmt.Errorf("read start time of process %d: %w", pid, err)
	}
	// The second field is the command in parentheses, which may hold
	// spaces and parentheses itself: count from the last one.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	const startTimeField = 22 - 3 // the first after the command is field 3
	if len(fields) <= startTimeField || len(fields[0]) != 1 {
		return 0, 0, fmt.Errorf("read start time of process %d: unexpected format", pid)
	}
	startTime, err = strconv.ParseUint(string(fields[startTimeField]), 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("read start time of process %d: %w", pid, err)
	}
	return fields[0][0], startTime, nil
}
