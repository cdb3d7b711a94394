// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package nomadcgroup reads from Nomad's cgroups which CPUs a client may use and
// which it has reserved for tasks of any driver. Packages driver and command share
// it, so that both look at the same files. It writes nothing.
//
// The layout is Nomad's (client/lib/cgroupslib): with cgroup v2
// <parent>/cpuset.cpus and <parent>/reserve.slice/cpuset.cpus, with v1 in the
// cpuset hierarchy <parent>/cpuset.cpus and <parent>/reserve/cpuset.cpus.
package nomadcgroup

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// Tree is a cgroup file system.
type Tree struct {
	Root string // /sys/fs/cgroup
	V2   bool
}

// Below returns the tree that is mounted at root.
func Below(root string) Tree {
	_, err := os.Stat(filepath.Join(root, "cgroup.controllers"))
	return Tree{Root: root, V2: err == nil}
}

// DefaultParent is the agent's cgroup_parent where its configuration has none.
func (t Tree) DefaultParent() string {
	if t.V2 {
		return "nomad.slice"
	}
	return "nomad"
}

// Usable returns the CPUs that an agent with this cgroup parent may use; none
// where it does not say.
func (t Tree) Usable(parent string) cpuset.Set { return t.read(parent, "") }

// Reserved returns the CPUs that an agent with this cgroup parent has reserved for
// tasks.
func (t Tree) Reserved(parent string) cpuset.Set {
	if t.V2 {
		return t.read(parent, "reserve.slice")
	}
	return t.read(parent, "reserve")
}

// read reads the CPU list of a cgroup below a parent. The parent may come from a
// record: it must not lead out of the tree.
func (t Tree) read(parent, below string) cpuset.Set {
	if !filepath.IsLocal(parent) {
		return cpuset.Set{}
	}
	root := t.Root
	if !t.V2 {
		root = filepath.Join(root, "cpuset")
	}
	return ReadList(filepath.Join(root, parent, below, "cpuset.cpus"))
}

// ReadList reads a file with a list of CPUs or of NUMA nodes, as the kernel writes
// both; one that is not there, or makes no sense, has none.
func ReadList(path string) cpuset.Set {
	data, err := os.ReadFile(path)
	if err != nil {
		return cpuset.Set{}
	}
	set, err := cpuset.Parse(strings.TrimSpace(string(data)))
	if err != nil {
		return cpuset.Set{}
	}
	return set
}
