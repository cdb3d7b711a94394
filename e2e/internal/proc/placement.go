// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ThreadCPUs returns, per thread of the process, the list of CPUs it may run on
// in the kernel's spelling ("0-3,8"): field Cpus_allowed_list of proc(5).
func ThreadCPUs(pid int) (map[int]string, error) {
	dir := filepath.Join(Root, strconv.Itoa(pid), "task")
	threads, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list threads of process %d: %w", pid, err)
	}
	cpus := make(map[int]string, len(threads))
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		list, err := statusField(filepath.Join(dir, t.Name(), "status"), "Cpus_allowed_list")
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return nil, err
		}
		cpus[tid] = list
	}
	return cpus, nil
}

// Status returns one field of /proc/PID/status: "Uid", "Groups", "Threads", ….
func Status(pid int, field string) (string, error) {
	return statusField(filepath.Join(Root, strconv.Itoa(pid), "status"), field)
}

func statusField(path, field string) (string, error) {
	status, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read field %s: %w", field, err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("%s has no field %s", path, field)
}

// Cgroups returns the cgroup of the process in each hierarchy as
// /proc/PID/cgroup tells it: key "" is cgroup v2, else a v1 controller.
func Cgroups(pid int) (map[string]string, error) {
	raw, err := os.ReadFile(filepath.Join(Root, strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return nil, fmt.Errorf("read cgroups of process %d: %w", pid, err)
	}
	return parseCgroups(string(raw))
}

func parseCgroups(raw string) (map[string]string, error) {
	cgroups := map[string]string{}
	for line := range strings.Lines(raw) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			return nil, fmt.Errorf("cgroup line %q has no three fields", line)
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			cgroups[controller] = parts[2]
		}
	}
	return cgroups, nil
}

// InCgroup returns the processes in the cgroup directory and below it.
func InCgroup(dir string) ([]Process, error) {
	var found []Process
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed while we looked
		}
		if err != nil || d.IsDir() || d.Name() != "cgroup.procs" {
			return err
		}
		pids, err := os.ReadFile(path)
		if err != nil {
			return nil // the cgroup went away under the read
		}
		for field := range strings.FieldsSeq(string(pids)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return fmt.Errorf("read %s: %w", path, err)
			}
			p, err := Read(pid)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			found = append(found, p)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("processes in cgroup %s: %w", dir, err)
	}
	return found, nil
}
