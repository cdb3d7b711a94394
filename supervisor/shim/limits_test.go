// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A task's bombs, of memory and of processes, are its own cgroup's.
func TestLimitsAreWritten(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"memory.max", "memory.low", "cpu.weight", "pids.max"} {
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &Spec{
		Cgroups: Cgroups{Mode: CgroupV2, Join: []string{dir}},
		Limits:  Limits{MemoryMax: 1 << 30, MemoryLow: 1 << 20, CPUWeight: 50, Processes: 1000},
	}
	if err := setUpCgroup(s); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"memory.max": "1073741824", "memory.low": "1048576", "cpu.weight": "50", "pids.max": "1000"} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || strings.TrimSpace(string(data)) != want {
			t.Errorf("%s is %q, want %s (%v)", file, data, want, err)
		}
	}
	// Where the kernel has no such limit the task runs without.
	if err := os.Remove(filepath.Join(dir, "pids.max")); err != nil {
		t.Fatal(err)
	}
	if err := setUpCgroup(s); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "pids.max")); err == nil {
		t.Error("a file was made in the cgroup")
	}
}

// With v1 the cgroup of its own is made for it, and removed.
func TestPidsCgroupComesAndGoes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nomad", "a.solve.1")
	s := &Spec{Cgroups: Cgroups{Mode: CgroupV1, Pids: dir}, Limits: Limits{Processes: 1000}}
	for range 2 { // that it is there already is no error
		if err := setUpCgroup(s); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.Cgroups.RemovePids(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("it is still there")
	}
	s.Cgroups.Pids = "/proc/nobody/may/make/this"
	if err := setUpCgroup(s); err == nil || !strings.Contains(err.Error(), "max_processes = 0") {
		t.Errorf("got %v", err)
	}
}
