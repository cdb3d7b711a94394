// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/nomadcgroup"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// withCgroups are cores with cgroups mounted at root.
func withCgroups(root string) *Cores { return &Cores{cgroups: nomadcgroup.Below(root)} }

func TestCgroup_OfATask(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("cgroup v1 is for agents that run as root")
	}
	v1 := []string{"freezer/nomad/a.solve", "cpu/nomad/a.solve", "memory/nomad/a.solve", "cpuset/nomad/share", "cpuset/nomad/reserve/a.solve"}
	v2 := []string{"cgroup.controllers=cpu", "nomad.slice/share.slice/a.solve.scope"}
	for name, c := range map[string]struct {
		paths  []string
		path   string // CpusetCgroupPath below the root
		parent string
		want   supervisor.Cgroups // paths below the root
	}{
		"v1 shared": {v1, "cpuset/nomad/share", "nomad", supervisor.Cgroups{
			Mode: supervisor.CgroupV1, Freezer: "freezer/nomad/a.solve", CPU: "cpu/nomad/a.solve", Memory: "memory/nomad/a.solve",
			Join: []string{"freezer/nomad/a.solve", "cpu/nomad/a.solve", "memory/nomad/a.solve", "cpuset/nomad/share"},
		}},
		"v1 reserved": {v1, "cpuset/nomad/reserve/a.solve", "nomad", supervisor.Cgroups{
			Mode: supervisor.CgroupV1, Freezer: "freezer/nomad/a.solve", CPU: "cpu/nomad/a.solve", Memory: "memory/nomad/a.solve",
			Join:       []string{"freezer/nomad/a.solve", "cpu/nomad/a.solve", "memory/nomad/a.solve", "cpuset/nomad/reserve/a.solve"},
			LeafCpuset: "cpuset/nomad/reserve/a.solve",
		}},
		"v1 below a parent with folders": {
			[]string{"freezer/x/y/a.solve", "cpu/x/y/a.solve", "memory/x/y/a.solve", "cpuset/x/y/share"},
			"cpuset/x/y/share", "x/y",
			supervisor.Cgroups{
				Mode: supervisor.CgroupV1, Freezer: "freezer/x/y/a.solve", CPU: "cpu/x/y/a.solve", Memory: "memory/x/y/a.solve",
				Join: []string{"freezer/x/y/a.solve", "cpu/x/y/a.solve", "memory/x/y/a.solve", "cpuset/x/y/share"},
			},
		},
		"v1 with a part missing": {v1[1:], "cpuset/nomad/share", "", supervisor.Cgroups{Mode: supervisor.CgroupNone}},
		"v1 elsewhere":           {append(v1, "other"), "other", "", supervisor.Cgroups{Mode: supervisor.CgroupNone}},
		"v2": {v2, "nomad.slice/share.slice/a.solve.scope", "nomad.slice", supervisor.Cgroups{
			Mode: supervisor.CgroupV2, Join: []string{"nomad.slice/share.slice/a.solve.scope"}, LeafCpuset: "nomad.slice/share.slice/a.solve.scope",
		}},
		"v2 not there":     {v2, "nomad.slice/reserve.slice/a.solve.scope", "", supervisor.Cgroups{Mode: supervisor.CgroupNone}},
		"no cgroup at all": {v1, "", "", supervisor.Cgroups{Mode: supervisor.CgroupNone}},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, c.paths...)
			abs := func(path string) string {
				if path == "" {
					return ""
				}
				return filepath.Join(root, path)
			}
			for i, path := range c.want.Join {
				c.want.Join[i] = abs(path)
			}
			c.want.Freezer, c.want.CPU, c.want.Memory = abs(c.want.Freezer), abs(c.want.CPU), abs(c.want.Memory)
			c.want.LeafCpuset = abs(c.want.LeafCpuset)
			got, parent := withCgroups(root).CgroupsOf(&drivers.TaskConfig{AllocID: "a", Name: "solve", Resources: &drivers.Resources{
				LinuxResources: &drivers.LinuxResources{CpusetCgroupPath: abs(c.path)},
			}})
			must.Eq(t, c.want, got)
			must.Eq(t, c.parent, parent)
		})
	}
	got, _ := withCgroups(t.TempDir()).CgroupsOf(&drivers.TaskConfig{})
	must.Eq(t, supervisor.CgroupNone, got.Mode)
}

func TestCgroup_Limits(t *testing.T) {
	const mib = 1 << 20
	memory := func(mb, most int64) *drivers.Resources {
		return &drivers.Resources{NomadResources: &structs.AllocatedTaskResources{
			Memory: structs.AllocatedMemoryResources{MemoryMB: mb, MemoryMaxMB: most},
		}}
	}
	for name, c := range map[string]struct {
		resources *drivers.Resources
		want      supervisor.Limits
	}{
		"none":                {nil, supervisor.Limits{}},
		"memory":              {memory(100, 0), supervisor.Limits{MemoryMax: 100 * mib}},
		"memory_max":          {memory(100, 300), supervisor.Limits{MemoryMax: 300 * mib, MemoryLow: 100 * mib}},
		"memory_max no limit": {memory(100, -1), supervisor.Limits{MemoryMax: -1, MemoryLow: 100 * mib}},
		"shares": {
			&drivers.Resources{LinuxResources: &drivers.LinuxResources{CPUShares: 1024}},
			supervisor.Limits{CPUShares: 1024, CPUWeight: supervisor.CPUWeight(1024)},
		},
	} {
		t.Run(name, func(t *testing.T) { must.Eq(t, c.want, LimitsOf(&drivers.TaskConfig{Resources: c.resources})) })
	}
}

func TestCgroup_WhatTheyLeave(t *testing.T) {
	root := tree(t, "v1/reserve/cpuset.mems=0-1\n", "v1/reserve/cpuset.cpus=0-3\n", "v1/reserve/a/cpuset.mems=1\n",
		"v1/share/cpuset.mems=2\n", "v1/share/cpuset.cpus=4-7\n",
		"v2/share.slice/cpuset.mems.effective=3\n", "v2/share.slice/cpuset.cpus.effective=8-9\n", "v2/bare/a.scope")
	at := func(path string) string { return filepath.Join(root, path) }
	for name, c := range map[string]struct {
		groups      supervisor.Cgroups
		cpus, nodes string
	}{
		"v1 reserved":                {supervisor.Cgroups{Mode: supervisor.CgroupV1, Join: []string{at("v1/f"), at("v1/reserve/a")}, LeafCpuset: at("v1/reserve/a")}, "0-3", "0-1"},
		"v1 shared":                  {supervisor.Cgroups{Mode: supervisor.CgroupV1, Join: []string{at("v1/f"), at("v1/share")}}, "4-7", "2"},
		"v2":                         {supervisor.Cgroups{Mode: supervisor.CgroupV2, Join: []string{at("v2/share.slice/a.scope")}, LeafCpuset: at("v2/share.slice/a.scope")}, "8-9", "3"},
		"v2 without the controller":  {supervisor.Cgroups{Mode: supervisor.CgroupV2, Join: []string{at("v2/bare/a.scope")}, LeafCpuset: at("v2/bare/a.scope")}, "", ""},
		"no cgroups":                 {supervisor.Cgroups{Mode: supervisor.CgroupNone}, "", ""},
		"v1 without anything to say": {supervisor.Cgroups{Mode: supervisor.CgroupV1}, "", ""},
		"nothing known":              {supervisor.Cgroups{}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			must.Eq(t, c.cpus, allowedCPUs(&c.groups).String())
			must.Eq(t, c.nodes, allowedNodes(&c.groups).String())
		})
	}
}

// Nomad makes no v1 cgroup for it: each run gets one of its own.
func TestCgroup_ForTheLimitOfProcesses(t *testing.T) {
	for name, c := range map[string]struct {
		mode  supervisor.CgroupMode
		paths []string
		most  int64
		want  string // below the root
	}{
		"v1":                       {supervisor.CgroupV1, []string{"pids/cgroup.procs="}, 100, "pids/x/y/a.solve.1"},
		"v1 without a limit":       {supervisor.CgroupV1, []string{"pids/cgroup.procs="}, 0, ""},
		"v1 without the hierarchy": {supervisor.CgroupV1, []string{"memory"}, 100, ""},
		"v2":                       {supervisor.CgroupV2, []string{"pids/cgroup.procs="}, 100, ""},
		"none":                     {supervisor.CgroupNone, []string{"pids/cgroup.procs="}, 100, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, c.paths...)
			spec := &supervisor.Spec{TaskID: "a/solve/1", Cgroups: supervisor.Cgroups{Mode: c.mode, Join: []string{"/other"}}}
			cores := withCgroups(root)
			cores.LimitProcesses(spec, "x/y", c.most)
			must.Eq(t, c.most, spec.Limits.Processes)
			if c.want == "" {
				must.Eq(t, supervisor.Cgroups{Mode: c.mode, Join: []string{"/other"}}, spec.Cgroups)
				return
			}
			dir := filepath.Join(root, c.want)
			must.Eq(t, supervisor.Cgroups{Mode: c.mode, Join: []string{dir, "/other"}, Pids: dir}, spec.Cgroups)
			// A record that was lost names it only if it is there.
			again := &supervisor.Spec{TaskID: "a/solve/1", Cgroups: supervisor.Cgroups{Mode: c.mode}}
			cores.findPids(again, "x/y")
			must.Eq(t, "", again.Cgroups.Pids)
			must.NoError(t, os.MkdirAll(dir, 0o755))
			cores.findPids(again, "x/y")
			must.Eq(t, dir, again.Cgroups.Pids)
		})
	}
}
