// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/internal/proctree"
)

// needNUMA skips where the kernel has no memory policies.
func needNUMA(t *testing.T) {
	t.Helper()
	if err := CanBindMemory([]int{0}); err != nil {
		t.Skipf("no memory policies here: %v", err)
	}
}

// Whoever starts the agent under a policy, as numactl does, hands it on to
// everything below; only a solver whose memory is placed gets another.
func TestMemoryPolicyOfTheSolver(t *testing.T) {
	needNUMA(t)
	for name, c := range map[string]struct {
		memory Memory
		want   string
	}{
		"as inherited": {Memory{}, "bind"},
		"local":        {Memory{Policy: MemoryLocal}, "default"},
		"bound":        {Memory{Policy: MemoryBind, Nodes: []int{0}}, "bind:0"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newTask(t, "/bin/cat", "/proc/self/numa_maps")
			k.spec.Memory = c.memory
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if err := proctree.SetMemoryPolicy(proctree.MemoryBind, []int{0}); err != nil {
				t.Fatal(err)
			}
			p, err := k.launch()
			if e := proctree.SetMemoryPolicy(proctree.MemoryDefault, nil); e != nil {
				t.Fatal(e)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			k.wait(p)
			for line := range strings.Lines(k.read(k.run, "stdout")) {
				if got := strings.Fields(line)[1]; !strings.HasPrefix(got, c.want) {
					t.Fatalf("policy %s, want %s", got, c.want)
				}
			}
		})
	}
}

func TestMemoryThatCannotBeBoundIsALaunchError(t *testing.T) {
	needNUMA(t)
	if CanBindMemory([]int{1000}) == nil || CanBindMemory(nil) == nil || CanBindMemory([]int{-1}) == nil {
		t.Fatal("memory can be bound to nodes that are not there")
	}
	k := newTask(t, "/bin/true")
	k.spec.Memory = Memory{Policy: MemoryBind, Nodes: []int{1000}}
	if _, err := k.launch(); err == nil || !strings.Contains(err.Error(), "set memory policy bind 1000") {
		t.Errorf("got %v", err)
	}
}

func TestMemoryOfASpecification(t *testing.T) {
	k := newTask(t, "/bin/true")
	for want, memory := range map[string]Memory{
		"bound, but to no NUMA node":    {Policy: MemoryBind},
		`"near" is none of local, bind`: {Policy: "near"},
	} {
		k.spec.Memory = memory
		if err := WriteSpec(k.dir, &k.spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", memory, err)
		}
	}
}

// leaf is a cgroup with these files, and the kernel's rules left out.
func leaf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "leaf")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// files returns what is in a fake cgroup.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, e := range entries {
		found[e.Name()] = strings.TrimSpace(read(t, filepath.Join(dir, e.Name())))
	}
	return found
}

func TestMoveMemoryWritesTheLeaf(t *testing.T) {
	all := map[string]string{"cpuset.mems": "0\n", "cpuset.memory_migrate": "0\n", "cpuset.cpus": "0\n"}
	for name, c := range map[string]struct {
		mode  CgroupMode
		mems  string // what it was started with
		files map[string]string
		want  map[string]string
	}{
		"v1":                        {CgroupV1, "0", all, map[string]string{"cpuset.mems": "1-2", "cpuset.memory_migrate": "1", "cpuset.cpus": "0"}},
		"v2":                        {CgroupV2, "0", all, map[string]string{"cpuset.mems": "1-2", "cpuset.memory_migrate": "0", "cpuset.cpus": "0"}},
		"memory that is not strict": {CgroupV2, "", all, map[string]string{"cpuset.mems": "0", "cpuset.memory_migrate": "0", "cpuset.cpus": "0"}},
		"no cpuset controller":      {CgroupV2, "0", nil, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := leaf(t, c.files)
			tree := Tree{cgroups: Cgroups{Mode: c.mode, LeafCpuset: dir, Mems: c.mems}, list: proctree.Tree{ProcRoot: procfs.Root, Cgroup: dir}}
			if left, err := tree.MoveMemory([]int{0}, []int{1, 2}); left != 0 || err != nil {
				t.Errorf("got %d, %v", left, err)
			}
			got := files(t, dir)
			if len(got) != len(c.want) {
				t.Errorf("files %v", got)
			}
			for file, want := range c.want {
				if got[file] != want {
					t.Errorf("%s is %q, want %q", file, got[file], want)
				}
			}
		})
	}
}

// Pages really go through the kernel; on one node there is nowhere to go.
func TestMigratePages(t *testing.T) {
	needNUMA(t)
	k := shell(t, "echo up; sleep 1000")
	p := k.start()
	k.says("up")
	if left, err := tree(t, p).MoveMemory([]int{0}, []int{0}); left != 0 || err != nil {
		t.Errorf("got %d, %v", left, err)
	}
	if _, err := tree(t, p).MoveMemory([]int{0}, []int{1000}); err == nil || !strings.Contains(err.Error(), "move memory to NUMA nodes 1000") {
		t.Errorf("a node that is not there: %v", err)
	}
}
