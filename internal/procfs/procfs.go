// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package procfs reads from /proc what identifies a process: proc_pid_stat(5) and
// the boot id.
//
// The supervisor links it, so it imports little (see package shim).
package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// Root is where the kernel shows its processes. The functions below take the root
// as a parameter, so that tests can give them a tree of files.
const Root = "/proc"

// Stat is what /proc/PID/stat says of a process.
type Stat struct {
	State      byte // R, S, D, Z, …
	PPID       int
	Session    int
	Threads    int    // a thread that has ended counts only if it is the first
	StartTicks uint64 // clock ticks after boot
	Exiting    bool   // it runs no code of its own any more
}

// exiting is PF_EXITING of linux/include/linux/sched.h, "getting shut down".
const exiting = 0x4

// Ended reports whether the process has ended, as far as its first thread shows.
func (s Stat) Ended() bool { return s.State == 'Z' || s.State == 'X' }

// Over reports whether nothing is left of the process but its exit status. Other
// threads may run on when the first has ended.
func (s Stat) Over() bool { return s.Ended() && s.Threads <= 1 }

// statMax bounds what is read, in bytes: 52 numbers and a name of 64 bytes at most.
const statMax = 4096

// ReadStat reads the stat file of a process. The error wraps fs.ErrNotExist where
// there is no such process.
func ReadStat(root string, pid int) (Stat, error) {
	data, err := durable.ReadFile(root+"/"+strconv.Itoa(pid)+"/stat", statMax)
	if err != nil {
		return Stat{}, fmt.Errorf("read status of process %d: %w", pid, err)
	}
	s, err := ParseStat(data)
	if err != nil {
		return Stat{}, fmt.Errorf("read status of process %d: %w", pid, err)
	}
	return s, nil
}

// ParseStat reads fields 3, 4, 6, 9, 20 and 22 of a stat file's content.
func ParseStat(stat []byte) (Stat, error) {
	// The command, field 2, may hold spaces and parentheses itself: count from its
	// last parenthesis.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const first = 3
	if len(fields) <= 22-first || len(fields[0]) != 1 {
		return Stat{}, fmt.Errorf("unexpected format %.80q", stat)
	}
	s := Stat{State: fields[0][0]}
	var err1, err2, err3, err4 error
	s.PPID, err1 = strconv.Atoi(string(fields[4-first]))
	s.Session, err2 = strconv.Atoi(string(fields[6-first]))
	s.Threads, err3 = strconv.Atoi(string(fields[20-first]))
	s.StartTicks, err4 = strconv.ParseUint(string(fields[22-first]), 10, 64)
	flags, err5 := strconv.ParseUint(string(fields[9-first]), 10, 64)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return Stat{}, err
	}
	s.Exiting = flags&exiting != 0
	return s, nil
}

// StartTicks returns when a process started, in clock ticks after boot.
func StartTicks(root string, pid int) (uint64, error) {
	s, err := ReadStat(root, pid)
	return s.StartTicks, err
}

// PIDs returns the ids of all processes, in no order.
func PIDs(root string) ([]int, error) {
	dir, err := os.Open(root)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	pids := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// An Identity names one process for good: a process id is used again, but not with
// the same start time within one boot.
type Identity struct {
	PID        int
	StartTicks uint64 // clock ticks after boot
	BootID     string
}

// Known reports whether the identity is complete.
func (id Identity) Known() bool { return id.PID > 0 && id.StartTicks != 0 && id.BootID != "" }

// Alive reports whether the process runs and is no zombie. An incomplete identity
// is never believed. Where the answer is acted on, hold a pidfd opened before.
func (id Identity) Alive(root string) bool {
	if !id.ThisBoot(root) {
		return false
	}
	s, err := ReadStat(root, id.PID)
	return err == nil && s.StartTicks == id.StartTicks && !s.Ended()
}

// ThisBoot reports whether the identity is complete and of the running kernel.
func (id Identity) ThisBoot(root string) bool {
	if !id.Known() {
		return false
	}
	boot, err := BootID(root)
	return err == nil && boot == id.BootID
}

// boot is the boot id of Root once it was read. It stays the same for as long as
// this process lives, and a plugin that restarts compares it with that of every
// task.
var boot atomic.Pointer[string]

// BootID returns the running kernel's boot id, a UUID that changes with every boot
// (random(4)).
func BootID(root string) (string, error) {
	if id := boot.Load(); id != nil && root == Root {
		return *id, nil
	}
	data, err := durable.ReadFile(root+"/sys/kernel/random/boot_id", 128)
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	id := string(bytes.TrimSpace(data))
	if id == "" {
		return "", errors.New("read boot id: it is empty")
	}
	if root == Root {
		boot.Store(&id)
	}
	return id, nil
}
