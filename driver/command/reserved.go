// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// nomadCgroups is where the Nomad client keeps which cores it may use and which
// it has reserved (client/lib/cgroupslib): with cgroup v2 in
// <parent>/cpuset.cpus and <parent>/reserve.slice/cpuset.cpus, with v1 in the
// cpuset hierarchy's <parent>/cpuset.cpus and <parent>/reserve/cpuset.cpus.
type nomadCgroups struct {
	root string // /sys/fs/cgroup
	v2   bool
}

func nomadCgroupsBelow(sysfs string) nomadCgroups {
	if sysfs == "" {
		sysfs = "/sys"
	}
	root := filepath.Join(sysfs, "fs/cgroup")
	_, err := os.Stat(filepath.Join(root, "cgroup.controllers"))
	return nomadCgroups{root: root, v2: err == nil}
}

// defaultParent is the agent's cgroup_parent where its configuration has none.
func (c nomadCgroups) defaultParent() string {
	if c.v2 {
		return "nomad.slice"
	}
	return "nomad"
}

// read returns the CPUs that the agents with these cgroup parents may use, and
// those they have reserved for tasks of any driver. usable is empty where no
// agent says so.
func (c nomadCgroups) read(parents []string) (usable, reserved cpuset.Set) {
	for _, parent := range parents {
		if parent == "" || !filepath.IsLocal(parent) {
			continue
		}
		dir := filepath.Join(c.root, "cpuset", parent)
		reserve := filepath.Join(dir, "reserve")
		if c.v2 {
			dir = filepath.Join(c.root, parent)
			reserve = filepath.Join(dir, "reserve.slice")
		}
		usable = usable.Union(readCPUs(filepath.Join(dir, "cpuset.cpus")))
		reserved = reserved.Union(readCPUs(filepath.Join(reserve, "cpuset.cpus")))
	}
	return usable, reserved
}

// readCPUs reads a CPU list; a file that is not there, or makes no sense, has none.
func readCPUs(path string) cpuset.Set {
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
