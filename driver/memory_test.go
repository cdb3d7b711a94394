// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// machine is the books of a machine with NUMA nodes of two cores each, whose
// nodes in hasMemory have memory.
func machine(t *testing.T, nodes int, hasMemory, mode string) *cores {
	t.Helper()
	last := 2*nodes - 1
	files := []string{
		fmt.Sprintf("devices/system/cpu/online=0-%d\n", last),
		fmt.Sprintf("devices/system/node/online=0-%d\n", nodes-1),
	}
	if hasMemory != "" {
		files = append(files, "devices/system/node/has_memory="+hasMemory+"\n")
	}
	for cpu := range last + 1 {
		dir := fmt.Sprintf("devices/system/cpu/cpu%d/topology/", cpu)
		files = append(files, dir+"physical_package_id=0\n", fmt.Sprintf("%score_id=%d\n", dir, cpu), fmt.Sprintf("%sthread_siblings_list=%d\n", dir, cpu))
	}
	for node := range nodes {
		files = append(files, fmt.Sprintf("devices/system/node/node%d/cpulist=%d-%d\n", node, 2*node, 2*node+1))
	}
	c := &cores{config: &Config{Cores: CoresConfig{Memory: mode}}, sysfs: tree(t, files...)}
	topo, _, err := topology.Discover(c.sysfs)
	must.NoError(t, err)
	must.Len(t, nodes, topo.Nodes)
	c.alloc = allocator.New(topo, topo.Online, allocator.Options{})
	return c
}

func TestMemory_Placed(t *testing.T) {
	local, inherited := supervisor.MemoryLocal, supervisor.MemoryInherited
	v2 := []string{"share.slice/cpuset.mems.effective=0-3\n", "share.slice/a.scope/cpuset.mems=\n"}
	for name, c := range map[string]struct {
		nodes     int
		hasMemory string
		mode      string
		cpus      string
		cgroup    []string // v2, files
		want      supervisor.MemoryPolicy
		bound     []int
		mems      string
		warns     string
	}{
		"preferred":                             {4, "0-3", "preferred", "2-3", v2, local, nil, "", ""},
		"by default":                            {4, "0-3", "", "2-3", v2, local, nil, "", ""},
		"preferred on several nodes":            {4, "0-3", "preferred", "2-5", nil, local, nil, "", ""},
		"none":                                  {4, "0-3", "none", "2-3", v2, inherited, nil, "", ""},
		"without cores":                         {4, "0-3", "strict", "", v2, inherited, nil, "", ""},
		"one node":                              {1, "0", "strict", "0-1", v2, inherited, nil, "", ""},
		"memory on one node":                    {4, "0", "strict", "2-3", v2, inherited, nil, "", ""},
		"a kernel that does not tell":           {4, "", "strict", "2-3", v2, local, nil, "1", ""},
		"strict in a leaf":                      {4, "0-3", "strict", "2-3", v2, local, nil, "1", ""},
		"strict on several nodes":               {4, "0-3", "strict", "2-3,6", v2, local, nil, "1,3", ""},
		"strict on all nodes":                   {4, "0-3", "strict", "0-7", v2, local, nil, "0-3", ""},
		"strict, one node without memory":       {4, "0,2-3", "strict", "2-5", v2, local, nil, "2", ""},
		"strict, a node that is withheld":       {4, "0-3", "strict", "2-5", []string{"share.slice/cpuset.mems.effective=0-1\n", "share.slice/a.scope/cpuset.mems=\n"}, local, nil, "1", ""},
		"strict without the cpuset controller":  {4, "0-3", "strict", "0-1", []string{"share.slice/a.scope/cgroup.procs=\n"}, supervisor.MemoryBind, []int{0}, "", ""},
		"strict without cgroups":                {4, "0-3", "strict", "0-1", nil, supervisor.MemoryBind, []int{0}, "", ""},
		"strict where there is no memory":       {4, "0,2-3", "strict", "2-3", v2, local, nil, "", "Memory is not bound to NUMA node 1, only preferred there: no NUMA node with memory"},
		"strict where the kernel does not bind": {100, "0-99", "strict", "198-199", nil, local, nil, "", "Memory is not bound to NUMA node 99, only preferred there: set_mempolicy"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want == supervisor.MemoryBind {
				if err := supervisor.CanBindMemory([]int{0}); err != nil {
					t.Skipf("no memory policies here: %v", err)
				}
			}
			spec := &supervisor.Spec{Cgroups: supervisor.Cgroups{Mode: supervisor.CgroupNone}}
			if c.cgroup != nil {
				leaf := filepath.Join(tree(t, c.cgroup...), "share.slice/a.scope")
				spec.Cgroups = supervisor.Cgroups{Mode: supervisor.CgroupV2, Join: []string{leaf}, LeafCpuset: leaf}
			}
			cpus, err := cpuset.Parse(c.cpus)
			must.NoError(t, err)
			warning := machine(t, c.nodes, c.hasMemory, c.mode).placeMemory(spec, cpus)
			must.Eq(t, supervisor.Memory{Policy: c.want, Nodes: c.bound}, spec.Memory)
			must.Eq(t, c.mems, spec.Cgroups.Mems)
			must.Eq(t, c.warns == "", warning == "", must.Sprint(warning))
			must.True(t, strings.HasPrefix(warning, c.warns), must.Sprint(warning))
		})
	}
}

func TestMemory_WhatTheCgroupsLeave(t *testing.T) {
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
	} {
		t.Run(name, func(t *testing.T) {
			must.Eq(t, c.cpus, allowedCPUs(&c.groups).String())
			must.Eq(t, c.nodes, allowedNodes(&c.groups).String())
		})
	}
}

// A cpuset.mems that somebody changed is noticed only where the driver wrote it.
func TestMemory_StrayedNodes(t *testing.T) {
	for name, c := range map[string]struct {
		mems, file string // as started with, and as it is
		is, want   string
	}{
		"as it should be":       {"1", "cpuset.mems=1\n", "", ""},
		"widened":               {"1", "cpuset.mems=0-3\n", "0-3", "1"},
		"emptied":               {"1", "cpuset.mems=\n", "", "1"},
		"not the driver's":      {"", "cpuset.mems=0-3\n", "", ""},
		"no cpuset to look at":  {"1", "cgroup.procs=\n", "", ""},
		"still what it was for": {"0", "cpuset.mems=0\n", "0", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			leaf := filepath.Join(tree(t, "share.slice/a.scope/"+c.file), "share.slice/a.scope")
			task := &task{cores: machine(t, 4, "0-3", "strict"), spec: &supervisor.Spec{Cgroups: supervisor.Cgroups{
				Mode: supervisor.CgroupV2, Join: []string{leaf}, LeafCpuset: leaf, Mems: c.mems,
			}}}
			is, want := task.strayedMems(cpuset.Of(2, 3))
			must.Eq(t, c.is, is.String())
			must.Eq(t, c.want, want.String())
			task.following.Add(1) // the driver is about to write it
			is, want = task.strayedMems(cpuset.Of(2, 3))
			must.Eq(t, is, want)
		})
	}
}
