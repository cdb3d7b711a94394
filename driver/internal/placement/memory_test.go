// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// machine is the cores of a machine with NUMA nodes of two cores each, all of
// which are given out, whatever this machine has.
func machine(t *testing.T, nodes int, hasMemory string, mode MemoryMode) *Cores {
	t.Helper()
	c := &Cores{
		settings: Settings{Memory: mode, Sysfs: sysfs(t, nodes, 2, hasMemory)}, logger: hclog.NewNullLogger(),
		binders: map[string]*Binder{}, parents: map[string]bool{},
	}
	topo, _, err := topology.Discover(c.settings.Sysfs)
	must.NoError(t, err)
	must.Len(t, nodes, topo.Nodes)
	c.alloc = allocator.New(topo, topo.Online, allocator.Options{})
	return c
}

func TestMemory_ParseMode(t *testing.T) {
	for text, want := range map[string]MemoryMode{
		"": MemoryPreferred, "preferred": MemoryPreferred, "strict": MemoryStrict, "none": MemoryNone,
	} {
		mode, err := ParseMemoryMode(text)
		must.NoError(t, err)
		must.Eq(t, want, mode)
	}
	_, err := ParseMemoryMode("bind")
	must.EqError(t, err, `memory must be preferred, strict or none, not "bind"`)
}

func TestMemory_Placed(t *testing.T) {
	local, inherited := supervisor.MemoryLocal, supervisor.MemoryInherited
	v2 := []string{"share.slice/cpuset.mems.effective=0-3\n", "share.slice/a.scope/cpuset.mems=\n"}
	for name, c := range map[string]struct {
		nodes     int
		hasMemory string
		mode      MemoryMode
		cpus      string
		cgroup    []string // v2, files
		want      supervisor.MemoryPolicy
		bound     []int
		mems      string
		warns     string
	}{
		"preferred":                             {4, "0-3", MemoryPreferred, "2-3", v2, local, nil, "", ""},
		"by default":                            {4, "0-3", "", "2-3", v2, local, nil, "", ""},
		"preferred on several nodes":            {4, "0-3", MemoryPreferred, "2-5", nil, local, nil, "", ""},
		"none":                                  {4, "0-3", MemoryNone, "2-3", v2, inherited, nil, "", ""},
		"without cores":                         {4, "0-3", MemoryStrict, "", v2, inherited, nil, "", ""},
		"one node":                              {1, "0", MemoryStrict, "0-1", v2, inherited, nil, "", ""},
		"memory on one node":                    {4, "0", MemoryStrict, "2-3", v2, inherited, nil, "", ""},
		"a kernel that does not tell":           {4, "", MemoryStrict, "2-3", v2, local, nil, "1", ""},
		"strict in a leaf":                      {4, "0-3", MemoryStrict, "2-3", v2, local, nil, "1", ""},
		"strict on several nodes":               {4, "0-3", MemoryStrict, "2-3,6", v2, local, nil, "1,3", ""},
		"strict on all nodes":                   {4, "0-3", MemoryStrict, "0-7", v2, local, nil, "0-3", ""},
		"strict, one node without memory":       {4, "0,2-3", MemoryStrict, "2-5", v2, local, nil, "2", ""},
		"strict, a node that is withheld":       {4, "0-3", MemoryStrict, "2-5", []string{"share.slice/cpuset.mems.effective=0-1\n", "share.slice/a.scope/cpuset.mems=\n"}, local, nil, "1", ""},
		"strict without the cpuset controller":  {4, "0-3", MemoryStrict, "0-1", []string{"share.slice/a.scope/cgroup.procs=\n"}, supervisor.MemoryBind, []int{0}, "", ""},
		"strict without cgroups":                {4, "0-3", MemoryStrict, "0-1", nil, supervisor.MemoryBind, []int{0}, "", ""},
		"strict where there is no memory":       {4, "0,2-3", MemoryStrict, "2-3", v2, local, nil, "", "Memory is not bound to NUMA node 1, only preferred there: no NUMA node with memory"},
		"strict where the kernel does not bind": {100, "0-99", MemoryStrict, "198-199", nil, local, nil, "", "Memory is not bound to NUMA node 99, only preferred there: set_mempolicy"},
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
			warning := machine(t, c.nodes, c.hasMemory, c.mode).placeMemory(spec, parse(t, c.cpus))
			must.Eq(t, supervisor.Memory{Policy: c.want, Nodes: c.bound}, spec.Memory)
			must.Eq(t, c.mems, spec.Cgroups.Mems)
			must.Eq(t, c.warns == "", warning == "", must.Sprint(warning))
			must.True(t, strings.HasPrefix(warning, c.warns), must.Sprint(warning))
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
			b := machine(t, 4, "0-3", MemoryStrict).NewBinder(Run{Owner: "a"})
			b.spec.Cgroups = supervisor.Cgroups{Mode: supervisor.CgroupV2, Join: []string{leaf}, LeafCpuset: leaf, Mems: c.mems}
			is, want := b.strayedNodes(cpuset.Of(2, 3))
			must.Eq(t, c.is, is.String())
			must.Eq(t, c.want, want.String())
			b.moving.running = true // the driver is about to write it
			is, want = b.strayedNodes(cpuset.Of(2, 3))
			must.Eq(t, is, want)
		})
	}
}

// twoNodes are the cores 0 and 1, each on a NUMA node of its own, whatever this
// machine has: where it has one node, memory cannot follow.
func twoNodes(t *testing.T) *node {
	t.Helper()
	needCPUs(t, 2)
	return newNode(t, func(s *Settings) { s.Sysfs = sysfs(t, 2, 1, "0-1") })
}

func TestMemory_FollowsTheCores(t *testing.T) {
	n := twoNodes(t)
	r := n.start(1)
	must.Eq(t, supervisor.MemoryLocal, r.spec.Memory.Policy)
	n.reserve("0")
	n.Reevaluate()
	r.runsOn("1")
	must.NoError(t, n.Close(t.Context())) // waits for the memory
	must.Len(t, 2, r.said())
	must.Eq(t, "Moved from core 0 to core 1: reserved by Nomad for another task", r.said()[0])
	must.True(t, strings.HasPrefix(r.said()[1], "Memory did not follow to NUMA node 1: ") || strings.HasPrefix(r.said()[1], "Memory moved to NUMA node 1"),
		must.Sprint(r.said()[1]))

	// From here on nobody would wait for it.
	n.reserve("1")
	n.Reevaluate()
	r.runsOn("0")
	must.Len(t, 3, r.said())
}

func TestMemory_StaysWhereItWas(t *testing.T) {
	for name, c := range map[string]struct {
		mode      MemoryMode
		hasMemory string
	}{
		"left alone":         {MemoryNone, "0-1"},
		"memory on one node": {MemoryPreferred, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			needCPUs(t, 2)
			n := newNode(t, func(s *Settings) { s.Sysfs, s.Memory = sysfs(t, 2, 1, c.hasMemory), c.mode })
			r := n.start(1)
			n.reserve("0")
			n.Reevaluate()
			r.runsOn("1")
			must.NoError(t, n.Close(t.Context()))
			must.Len(t, 1, r.said())
		})
	}
}

// Several moves while one is under way are one move more, to where the run is then.
func TestMemory_TheLastOfSeveralMovesCounts(t *testing.T) {
	n := twoNodes(t)
	r := n.start(1)
	b := r.binder
	b.mu.Lock()
	b.followMemory()
	must.True(t, b.moving.begin()) // the goroutine is about to look
	b.mu.Unlock()
	first, ok := b.nextMemoryMove()
	must.True(t, ok)
	must.Eq(t, []int{0}, first.to)
	for _, cpus := range []string{"0", "1", "0"} {
		n.reserve(cpus)
		n.Reevaluate()
	}
	b.mu.Lock()
	must.False(t, b.moving.begin(), must.Sprint("one goroutine a run"))
	b.mu.Unlock()
	second, ok := b.nextMemoryMove()
	must.True(t, ok)
	must.Eq(t, []int{1}, second.to)
	must.Eq(t, []int{0}, second.from)
	_, ok = b.nextMemoryMove()
	must.False(t, ok)
	must.Eq(t, memoryMove{}, b.moving)
}

// What a run leaves behind is nobody's to move.
func TestMemory_OfARunThatIsOver(t *testing.T) {
	n := twoNodes(t)
	r := n.start(1)
	b := r.binder
	b.moving = memoryMove{wanted: true, running: true}
	move, ok := b.nextMemoryMove()
	must.True(t, ok)
	end(t, r.proc)
	b.reportMemoryMove(move, 0, context.Canceled)
	b.Release()
	b.moving.wanted = true
	_, ok = b.nextMemoryMove()
	must.False(t, ok)
	must.SliceEmpty(t, r.said())
}

func TestMemory_WhatIsReported(t *testing.T) {
	n := twoNodes(t)
	for name, c := range map[string]struct {
		policy supervisor.Memory
		left   int
		err    error
		want   string
	}{
		"all of it":     {supervisor.Memory{Policy: supervisor.MemoryLocal}, 0, nil, "Memory moved to NUMA node 1"},
		"most of it":    {supervisor.Memory{Policy: supervisor.MemoryLocal}, 1, nil, "Memory moved to NUMA node 1, but for 1 MiB that cannot be moved"},
		"none of it":    {supervisor.Memory{Policy: supervisor.MemoryLocal}, 0, context.Canceled, "Memory did not follow to NUMA node 1: context canceled"},
		"bound for now": {supervisor.Memory{Policy: supervisor.MemoryBind, Nodes: []int{0}}, 0, nil, "Memory moved to NUMA node 1, but without a cpuset of its own the task stays bound to NUMA node 0 for what it takes from now on"},
	} {
		t.Run(name, func(t *testing.T) {
			r := n.start(1)
			defer r.binder.Release()
			r.binder.spec.Memory = c.policy
			r.binder.reportMemoryMove(oneMemoryMove{proc: r.proc, from: []int{0}, to: []int{1}}, c.left, c.err)
			must.Eq(t, []string{c.want}, r.said())
		})
	}
	must.Eq(t, "NUMA nodes 0,2-3", nodeWords([]int{0, 2, 3}))
}

func TestClose_WaitsNotForEver(t *testing.T) {
	c := machine(t, 2, "0-1", MemoryPreferred)
	over := make(chan struct{})
	c.inBackground(func() { <-over })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must.ErrorIs(t, c.Close(ctx), context.Canceled)
	close(over)
	must.NoError(t, c.Close(t.Context()))
	c.inBackground(func() { t.Error("nobody waits for it") })
	c.background.Wait()
}
