// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/nomadcgroup"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// cgroupTree finds a task's cgroups the way the Nomad client lays them out
// (client/lib/cgroupslib): with v2 <parent>/{share,reserve}.slice/<scope>.scope,
// with v1 freezer, cpu and memory <parent>/<scope> and cpuset
// <parent>/{share,reserve/<scope>}.
type cgroupTree struct{ nomadcgroup.Tree }

func defaultCgroupTree() cgroupTree { return newCgroupTree("/sys/fs/cgroup") }

func newCgroupTree(root string) cgroupTree { return cgroupTree{nomadcgroup.Below(root)} }

// onlineCPUs reads which CPUs are online now.
func onlineCPUs(sysfs string) (cpuset.Set, error) {
	data, err := os.ReadFile(filepath.Join(orDefault(sysfs, "/sys"), "devices/system/cpu/online"))
	if err != nil {
		return cpuset.Set{}, err
	}
	return cpuset.Parse(strings.TrimSpace(string(data)))
}

// ofTask returns the cgroups that the client made for a task, and the parent
// they are under. Without cgroups (an unprivileged agent) the mode is none.
func (t cgroupTree) ofTask(cfg *drivers.TaskConfig) (supervisor.Cgroups, string) {
	none := supervisor.Cgroups{Mode: supervisor.CgroupNone}
	if cfg.Resources == nil || cfg.Resources.LinuxResources == nil || os.Geteuid() != 0 && !t.V2 {
		return none, ""
	}
	path := cfg.Resources.LinuxResources.CpusetCgroupPath
	if info, err := os.Stat(path); path == "" || err != nil || !info.IsDir() {
		return none, ""
	}
	if t.V2 {
		parent, _ := filepath.Rel(t.Root, filepath.Dir(filepath.Dir(path)))
		return supervisor.Cgroups{Mode: supervisor.CgroupV2, Join: []string{path}, LeafCpuset: path}, parent
	}
	rel, err := filepath.Rel(filepath.Join(t.Root, "cpuset"), path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return none, ""
	}
	parent, leaf := filepath.Dir(rel), ""
	if filepath.Base(parent) == "reserve" {
		parent, leaf = filepath.Dir(parent), path
	}
	scope := cfg.AllocID + "." + cfg.Name
	of := func(controller string) string { return filepath.Join(t.Root, controller, parent, scope) }
	c := supervisor.Cgroups{
		Mode: supervisor.CgroupV1, Freezer: of("freezer"), CPU: of("cpu"), Memory: of("memory"),
		LeafCpuset: leaf,
	}
	c.Join = []string{c.Freezer, c.CPU, c.Memory, path}
	for _, dir := range c.Join {
		if _, err := os.Stat(dir); err != nil {
			return none, ""
		}
	}
	return c, parent
}

// outerCpuset returns the directory of the cpuset that the driver may not write,
// and that bounds what the task can have: with v2, and with reserved cores, it is
// above the task's own; else all tasks without reserved cores are in it.
func outerCpuset(c *supervisor.Cgroups) string {
	switch {
	case c.Mode == supervisor.CgroupV2:
		return filepath.Dir(c.Join[0])
	case c.LeafCpuset != "":
		return filepath.Dir(c.LeafCpuset)
	case c.Mode == supervisor.CgroupV1 && len(c.Join) > 0:
		return c.Join[len(c.Join)-1]
	}
	return ""
}

// allowedCPUs reads which CPUs the cgroups leave the task at most; none where they
// do not tell.
func allowedCPUs(c *supervisor.Cgroups) cpuset.Set { return readAllowed(c, "cpuset.cpus") }

// allowedNodes is the same for NUMA nodes.
func allowedNodes(c *supervisor.Cgroups) cpuset.Set { return readAllowed(c, "cpuset.mems") }

func readAllowed(c *supervisor.Cgroups, file string) cpuset.Set {
	dir := outerCpuset(c)
	if dir == "" {
		return cpuset.Set{}
	}
	if c.Mode == supervisor.CgroupV2 {
		file += ".effective"
	}
	return nomadcgroup.ReadList(filepath.Join(dir, file))
}

// limits are what raw_exec writes for the same resources block.
func limits(cfg *drivers.TaskConfig) supervisor.Limits {
	var l supervisor.Limits
	if cfg.Resources == nil {
		return l
	}
	if n := cfg.Resources.NomadResources; n != nil {
		const mib = 1 << 20
		l.MemoryMax = n.Memory.MemoryMB * mib
		switch over := n.Memory.MemoryMaxMB; {
		case over < 0:
			l.MemoryMax, l.MemoryLow = -1, n.Memory.MemoryMB*mib
		case over > 0:
			l.MemoryMax, l.MemoryLow = over*mib, n.Memory.MemoryMB*mib
		}
	}
	if r := cfg.Resources.LinuxResources; r != nil {
		l.CPUShares = r.CPUShares
		if r.CPUShares > 0 {
			l.CPUWeight = supervisor.CPUWeight(r.CPUShares)
		}
	}
	return l
}
