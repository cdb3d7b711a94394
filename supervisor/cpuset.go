// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/internal/proctree"
)

// openCpuset gives a leaf cpuset all that its parent has.
func (t *Tree) openCpuset(leaf string) error {
	if leaf == "" || t.cgroups.Mode == CgroupV2 {
		return setCpuset(leaf, "cpuset.cpus", "") // v2: empty inherits
	}
	parent, err := os.ReadFile(filepath.Join(filepath.Dir(leaf), "cpuset.cpus"))
	if err != nil {
		return fmt.Errorf("lift the binding: %w", err)
	}
	return setCpuset(leaf, "cpuset.cpus", strings.TrimSpace(string(parent)))
}

// widenCpuset adds CPUs to those that a leaf cpuset has.
func widenCpuset(leaf, list string) error {
	if leaf == "" {
		return nil
	}
	old, err := os.ReadFile(filepath.Join(leaf, "cpuset.cpus"))
	if err != nil {
		return nil // no cpuset controller, or the cgroup has gone with the task's processes
	}
	if had := strings.TrimSpace(string(old)); had != "" && had != list {
		list = had + "," + list
	}
	return setCpuset(leaf, "cpuset.cpus", list)
}

// setCpuset writes a list to one of a leaf cpuset's files, unless it is there
// already. A cgroup without a cpuset controller has no such file: then affinity has
// to do.
func setCpuset(leaf, file, list string) error {
	if leaf == "" {
		return nil
	}
	old, err := os.ReadFile(filepath.Join(leaf, file))
	if err == nil && strings.TrimSpace(string(old)) == list {
		return nil
	}
	// An empty write never reaches the kernel.
	if _, err := proctree.WriteCgroup(leaf, file, list+"\n"); err != nil {
		return fmt.Errorf("set %s of cgroup %s to %q: %w", file, leaf, list, err)
	}
	return nil
}

// MoveMemory has the memory of the task follow it to the NUMA nodes: where a leaf
// cpuset binds it, by cpuset.mems, with which the kernel migrates the pages (v1 when
// told so, v2 since Linux 5.15), and then page by page whatever is still elsewhere.
// From are the machine's other nodes with memory. It returns how many pages could
// not be moved. With much memory it takes minutes.
func (t *Tree) MoveMemory(from, to []int) (left int, err error) {
	nodes, err := cpuset.FromSlice(to)
	if err != nil {
		return 0, fmt.Errorf("move memory: %w", err)
	}
	if leaf := t.cgroups.LeafCpuset; leaf != "" && t.cgroups.Mems != "" {
		if t.cgroups.Mode == CgroupV1 {
			if _, err := proctree.WriteCgroup(leaf, "cpuset.memory_migrate", "1"); err != nil {
				return 0, fmt.Errorf("move memory: set cpuset.memory_migrate of cgroup %s: %w", leaf, err)
			}
		}
		if err := setCpuset(leaf, "cpuset.mems", nodes.String()); err != nil {
			return 0, fmt.Errorf("move memory: %w", err)
		}
	}
	if len(from) == 0 || len(to) == 0 {
		return 0, nil
	}
	if left, err = t.list.MigratePages(from, to); err != nil {
		return left, fmt.Errorf("move memory to NUMA nodes %s: %w", nodes.String(), err)
	}
	return left, nil
}

// CanBindMemory tries whether the kernel lets a process bind its memory to the
// NUMA nodes, and returns what it objects.
func CanBindMemory(nodes []int) error {
	if len(nodes) == 0 {
		return errors.New("no NUMA node with memory is among them")
	}
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends, and its policy with it
		result <- proctree.SetMemoryPolicy(proctree.MemoryBind, nodes)
	}()
	return <-result
}
