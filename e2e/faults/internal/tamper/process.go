// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package tamper

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// EditPID changes the second line of a pid file.
func EditPID(path string, change func(map[string]any)) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	first, second, _ := strings.Cut(string(data), "\n")
	line := map[string]any{}
	if err := json.Unmarshal([]byte(second), &line); err != nil {
		return err
	}
	change(line)
	changed, err := json.Marshal(line)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(first+"\n"+string(changed)+"\n"), 0o600)
}

// ForgePID makes a pid file name another process, with what proves that it is that
// process or without.
func ForgePID(path string, pid int, proven bool) error {
	p, err := proc.Read(pid)
	if err != nil {
		return err
	}
	if proven {
		err = EditPID(path, func(line map[string]any) {
			line["start_time"], line["supervisor_pid"], line["supervisor_start_time"] = p.StartTicks, pid, p.StartTicks
		})
		if err != nil {
			return err
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, second, _ := strings.Cut(string(data), "\n")
	return os.WriteFile(path, fmt.Appendf(nil, "%d\n%s", pid, second), 0o600)
}

// BindThreads sets the affinity of every thread, as taskset -a does.
func BindThreads(pid int, mask *unix.CPUSet) error {
	threads, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // it has just ended
	}
	for _, t := range threads {
		tid, e := strconv.Atoi(t.Name())
		if e == nil {
			e = unix.SchedSetaffinity(tid, mask)
		}
		// The thread may have ended, or its cpuset may not have the core.
		if e != nil && !errors.Is(e, unix.ESRCH) && !errors.Is(e, unix.EINVAL) {
			err = errors.Join(err, fmt.Errorf("bind thread %d: %w", tid, e))
		}
	}
	return err
}
