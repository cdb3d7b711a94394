// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/nomadcgroup"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// CgroupsOf returns the cgroups that the Nomad client made for a task, and the
// parent that they are under. Without cgroups (an unprivileged agent) the mode is
// none.
//
// The client (client/lib/cgroupslib) lays them out so: with v2
// <parent>/{share,reserve}.slice/<scope>.scope, with v1 freezer, cpu and memory
// <parent>/<scope> and cpuset <parent>/{share,reserve/<scope>}.
func (c *Cores) CgroupsOf(cfg *drivers.TaskConfig) (groups supervisor.Cgroups, parent string) {
	none := supervisor.Cgroups{Mode: supervisor.CgroupNone}
	if cfg.Resources == nil || cfg.Resources.LinuxResources == nil || os.Geteuid() != 0 && !c.cgroups.V2 {
		return none, ""
	}
	path := cfg.Resources.LinuxResources.CpusetCgroupPath
	if path == "" || !isDir(path) {
		return none, ""
	}
	if c.cgroups.V2 {
		parent, _ := filepath.Rel(c.cgroups.Root, filepath.Dir(filepath.Dir(path)))
		return supervisor.Cgroups{Mode: supervisor.CgroupV2, Join: []string{path}, LeafCpuset: path}, parent
	}
	rel, err := filepath.Rel(filepath.Join(c.cgroups.Root, "cpuset"), path)
	if err != nil || !filepath.IsLocal(rel) {
		return none, ""
	}
	parent, leaf := filepath.Dir(rel), ""
	if filepath.Base(parent) == "reserve" {
		parent, leaf = filepath.Dir(parent), path
	}
	groups = c.cgroupsV1(parent, cfg.AllocID+"."+cfg.Name, path, leaf)
	for _, dir := range groups.Join {
		if !isDir(dir) {
			return none, ""
		}
	}
	return groups, parent
}

func (c *Cores) cgroupsV1(parent, scope, cpusetDir, leaf string) supervisor.Cgroups {
	of := func(controller string) string { return filepath.Join(c.cgroups.Root, controller, parent, scope) }
	groups := supervisor.Cgroups{
		Mode: supervisor.CgroupV1, Freezer: of("freezer"), CPU: of("cpu"), Memory: of("memory"), LeafCpuset: leaf,
	}
	groups.Join = []string{groups.Freezer, groups.CPU, groups.Memory, cpusetDir}
	return groups
}

// LimitProcesses bounds how many processes and threads the task of a specification may
// have; 0 does not. Nomad makes no v1 cgroup for it, so with v1, where the kernel counts
// them, the task gets one from its supervisor, for this run alone: below the same parent,
// and with a name like Nomad's.
func (c *Cores) LimitProcesses(spec *supervisor.Spec, parent string, most int64) {
	spec.Limits.Processes = most
	dir := c.pidsOf(spec, parent)
	if most <= 0 || dir == "" {
		return
	}
	spec.Cgroups.Pids = dir
	spec.Cgroups.Join = append([]string{dir}, spec.Cgroups.Join...)
}

// RemakeSpec completes the specification of a run that was made anew: with its cgroups,
// and with where its memory comes from. Nothing is launched by it.
func (c *Cores) RemakeSpec(spec *supervisor.Spec, cfg *drivers.TaskConfig) {
	var parent string
	spec.Cgroups, parent = c.CgroupsOf(cfg)
	c.findPids(spec, parent)
	c.placeMemory(spec, cpuset.Of(spec.CPUs...))
}

// findPids has a specification that was made anew name the cgroup that LimitProcesses
// gave the task, if it is there.
func (c *Cores) findPids(spec *supervisor.Spec, parent string) {
	if dir := c.pidsOf(spec, parent); dir != "" && isDir(dir) {
		c.LimitProcesses(spec, parent, 1) // nothing is launched by it
	}
}

func (c *Cores) pidsOf(spec *supervisor.Spec, parent string) string {
	root := filepath.Join(c.cgroups.Root, "pids")
	if spec.Cgroups.Mode != supervisor.CgroupV1 || !c.isHierarchy("pids") {
		return ""
	}
	return filepath.Join(root, parent, strings.ReplaceAll(spec.TaskID, "/", "."))
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// outerCpuset returns the directory of the cpuset that the driver may not write
// and that bounds what the task can have. With v2, and with reserved cores, it is
// above the task's own; else all tasks without reserved cores are in it.
func outerCpuset(groups *supervisor.Cgroups) string {
	switch {
	case groups.Mode == supervisor.CgroupV2:
		return filepath.Dir(groups.Join[0])
	case groups.LeafCpuset != "":
		return filepath.Dir(groups.LeafCpuset)
	case groups.Mode == supervisor.CgroupV1 && len(groups.Join) > 0:
		return groups.Join[len(groups.Join)-1]
	}
	return ""
}

// allowedCPUs reads which CPUs the cgroups leave the task at most; none where they
// do not tell.
func allowedCPUs(groups *supervisor.Cgroups) cpuset.Set { return readAllowed(groups, "cpuset.cpus") }

// allowedNodes is the same for NUMA nodes.
func allowedNodes(groups *supervisor.Cgroups) cpuset.Set { return readAllowed(groups, "cpuset.mems") }

func readAllowed(groups *supervisor.Cgroups, file string) cpuset.Set {
	dir := outerCpuset(groups)
	if dir == "" {
		return cpuset.Set{}
	}
	if groups.Mode == supervisor.CgroupV2 {
		file += ".effective"
	}
	return nomadcgroup.ReadList(filepath.Join(dir, file))
}

// readLeaf reads a list of the cpuset that is the task's own. It reports false
// without one, and where the cgroup has no cpuset controller.
func readLeaf(groups *supervisor.Cgroups, file string) (cpuset.Set, bool) {
	if groups.LeafCpuset == "" {
		return cpuset.Set{}, false
	}
	path := filepath.Join(groups.LeafCpuset, file)
	if _, err := os.Stat(path); err != nil {
		return cpuset.Set{}, false
	}
	return nomadcgroup.ReadList(path), true
}

// LimitsOf returns what raw_exec writes to the cgroups for the same resources
// block.
func LimitsOf(cfg *drivers.TaskConfig) supervisor.Limits {
	var l supervisor.Limits
	if cfg.Resources == nil {
		return l
	}
	if n := cfg.Resources.NomadResources; n != nil {
		const mib = 1 << 20
		l.MemoryMax = n.Memory.MemoryMB * mib
		switch most := n.Memory.MemoryMaxMB; {
		case most < 0:
			l.MemoryMax, l.MemoryLow = -1, n.Memory.MemoryMB*mib
		case most > 0:
			l.MemoryMax, l.MemoryLow = most*mib, n.Memory.MemoryMB*mib
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
