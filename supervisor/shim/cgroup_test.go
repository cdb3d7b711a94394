// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/rawcall"
)

// group makes a cgroup's directory with these files in it, empty.
func group(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A controller that was not handed down to the task's cgroup has no files there:
// what can be written is, and the task runs.
func TestSetUpCgroupWithoutControllers(t *testing.T) {
	limits := Limits{MemoryMax: 1 << 30, MemoryLow: 1 << 29, CPUShares: 512, CPUWeight: 50}
	for name, c := range map[string]struct {
		mode  CgroupMode
		files []string
		want  map[string]string
	}{
		"v2 with all": {CgroupV2, []string{"memory.max", "memory.low", "cpu.weight", "cpuset.cpus", "cpuset.mems"}, map[string]string{
			"memory.max": "1073741824", "memory.low": "536870912", "cpu.weight": "50", "cpuset.cpus": "2-3", "cpuset.mems": "1",
		}},
		"v2 without cpuset": {CgroupV2, []string{"memory.max", "memory.low", "cpu.weight"}, map[string]string{
			"memory.max": "1073741824", "memory.low": "536870912", "cpu.weight": "50",
		}},
		"v2 without memory": {CgroupV2, []string{"cpu.weight", "cpuset.cpus", "cpuset.mems"}, map[string]string{
			"cpu.weight": "50", "cpuset.cpus": "2-3", "cpuset.mems": "1",
		}},
		"v2 with none": {CgroupV2, nil, nil},
		"v1 with all": {CgroupV1, []string{"memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness", "cpu.shares", "cpuset.cpus", "cpuset.mems"}, map[string]string{
			"memory.limit_in_bytes": "1073741824", "memory.soft_limit_in_bytes": "536870912", "memory.swappiness": "0", "cpu.shares": "512",
			"cpuset.cpus": "2-3", "cpuset.mems": "1",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := group(t, c.files...)
			s := &Spec{Limits: limits, Cgroups: Cgroups{
				Mode: c.mode, Join: []string{dir}, Freezer: dir, CPU: dir, Memory: dir, LeafCpuset: dir, CPUs: "2-3", Mems: "1",
			}}
			if err := setUpCgroup(s); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != len(c.want) {
				t.Errorf("files %v, %v", entries, err)
			}
			for file, want := range c.want {
				if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
					t.Errorf("%s is %q, want %q (%v)", file, got, want, err)
				}
			}
			if n := oomKills(s); n != 0 {
				t.Errorf("%d OOM kills", n)
			}
		})
	}
}

// A cgroup that vanished, or that has no cgroup.procs to write to, ends the
// launch in words.
func TestJoinACgroupThatIsGone(t *testing.T) {
	join := func(dir string) error {
		var l rawcall.List
		join(&l, dir)
		return l.Run()
	}
	err := join(filepath.Join(t.TempDir(), "gone"))
	if !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "join cgroup") {
		t.Errorf("got %v", err)
	}
	dir := group(t, "cgroup.procs")
	if err := join(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "cgroup.procs")); err != nil || string(got) != "0" {
		t.Errorf("wrote %q, %v", got, err)
	}
}
