// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/client/lib/numalib"
	"github.com/hashicorp/nomad/client/lib/numalib/hw"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/affinity"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

func TestCores_UsableByNomad(t *testing.T) {
	must.Nil(t, UsableByNomad(nil))
	must.Nil(t, UsableByNomad(&numalib.Topology{}))
	got := UsableByNomad(&numalib.Topology{Cores: []numalib.Core{
		{ID: hw.CoreID(0)}, {ID: 1, Disable: true}, {ID: 7},
	}})
	must.Eq(t, "0,7", got.String())
}

func TestCores_NoneIsLeft(t *testing.T) {
	one := cpuset.Of(1)
	_, err := New(Settings{Usable: cpuset.Of(0), Nomad: &one}, hclog.NewNullLogger())
	must.ErrorContains(t, err, "no core is left to give out")
	_, err = New(Settings{Sysfs: t.TempDir()}, hclog.NewNullLogger())
	must.Error(t, err)
}

func TestCores_SettingsForTheStatusCommand(t *testing.T) {
	nomad := cpuset.Range(0, 3)
	n := newNode(t, func(s *Settings) {
		s.Options = allocator.Options{SMT: allocator.SMTShare, Layout: allocator.LayoutScatter}
		s.Nomad = &nomad
	})
	must.Eq(t, state.Settings{SMT: "share", Layout: "scatter", Usable: "0-1", NomadUsable: "0-3"}, n.Settings())
	must.Eq(t, state.Settings{}, machine(t, 1, "", "").Settings())
}

func TestCores_IsolatedOnesOnlyWhereTheyAreNamed(t *testing.T) {
	own, err := affinity.Get(0)
	must.NoError(t, err)
	if own.Len() < 2 {
		t.Skip("one CPU cannot be isolated from another")
	}
	first := cpuset.Of(own.First())
	files := []string{"devices/system/cpu/online=" + own.String(), "devices/system/cpu/isolated=" + first.String()}
	for index := range own.All() {
		files = append(files, fmt.Sprintf("devices/system/cpu/cpu%d", index))
	}
	root := tree(t, files...)
	for usable, want := range map[string]cpuset.Set{"": own.Difference(first), own.String(): own, first.String(): first} {
		c, err := New(Settings{Usable: parse(t, usable), Sysfs: root, CgroupRoot: t.TempDir()}, hclog.NewNullLogger())
		must.NoError(t, err)
		must.Eq(t, want.String(), c.Managed().String(), must.Sprintf("usable %q", usable))
	}
}

func TestCores_PhysicalCores(t *testing.T) {
	root := tree(t, "devices/system/cpu/online=0-3\n",
		"devices/system/cpu/cpu0/topology/thread_siblings_list=0,2\n", "devices/system/cpu/cpu1/topology/thread_siblings_list=1,3\n",
		"devices/system/cpu/cpu2/topology/thread_siblings_list=0,2\n", "devices/system/cpu/cpu3/topology/thread_siblings_list=1,3\n")
	topo, _, err := topology.Discover(root)
	must.NoError(t, err)
	c := &Cores{alloc: allocator.New(topo, topo.Online, allocator.Options{})}
	for cpus, want := range map[string]int{"0": 1, "0-1": 2, "0,2": 1, "0-3": 2, "9": 1, "": 1} {
		must.Eq(t, want, c.PhysicalCores(parse(t, cpus)), must.Sprint(cpus))
	}
	// Ranks take one thread of each physical core before the siblings.
	must.Eq(t, launch.Placement{CPUs: []int{0, 1, 2, 3}, ByNode: [][]int{{0, 1, 2, 3}}}, launchOrder(topo, parse(t, "0-3")))
}

func TestCores_LaunchOrderByNode(t *testing.T) {
	topo := machine(t, 2, "", "").Topology()
	must.Eq(t, launch.Placement{CPUs: []int{1, 2, 3}, ByNode: [][]int{{1}, {2, 3}}}, launchOrder(topo, parse(t, "1-3,99")))
}

func TestCores_Unleased(t *testing.T) {
	c := machine(t, 2, "0-1", "")
	must.Eq(t, "0-3", c.unleased().String())
	_, err := c.alloc.Allocate("a", 3)
	must.NoError(t, err)
	left := c.unleased()
	must.Eq(t, 1, left.Len())
	short := &allocator.ShortageError{Asked: 2, Free: 1}
	must.Eq(t, fmt.Sprintf("Running without affinity: 2 cores asked, 1 free; kept off leased cores, on %s", left), c.DescribeShortage(short))
	c.alloc.SetUnavailable(cpuset.Range(0, 3))
	must.True(t, c.unleased().IsEmpty())
	must.Eq(t, "Running without affinity: more cores are asked than this node gives out (4, not 5): ask for fewer with ncpu",
		c.DescribeShortage(&allocator.ShortageError{Asked: 5}))
}

// A run without a lease keeps off the cores that others have, through their
// comings and goings, and counts as owner of none.
func TestUnleased_KeepsOffLeasedCores(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	first := n.start(1)
	first.runsOn("0")
	shy := n.start(2)
	shy.isConfinedTo("1")
	second := n.start(1)
	second.runsOn("1")
	shy.isConfinedTo(n.online()) // nowhere else to go
	first.binder.Release()
	n.Reevaluate()
	shy.isConfinedTo("0")
	must.SliceEmpty(t, shy.said())
	second.binder.Release()
	n.Reevaluate()
	shy.runsOn("0-1")
	must.Eq(t, []string{"Bound to cores 0-1: they have become free"}, shy.said())
}

// A run that had cores for a while is spread again when it loses them.
func TestUnleased_AfterALease(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	r := n.start(3)
	r.isConfinedTo("0-1")
	r.binder.AttachByDriverState(nil, with(r.pidFile(), 1))
	r.runsOn("1")
	n.reserve("0-1")
	n.Reevaluate()
	r.isConfinedTo(n.online())
}

// What binds itself to a leased core is brought back without a word.
func TestUnleased_IsBroughtBack(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	n.start(1).runsOn("0")
	shy := n.start(2)
	shy.bindFromOutside(0)
	n.Reevaluate()
	shy.isConfinedTo("1")
	must.SliceEmpty(t, shy.said())
}

// Cores that Nomad has reserved for another driver's task are none to be on, too.
func TestUnleased_KeepsOffReservedCores(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	shy := n.start(3)
	shy.isConfinedTo("0-1")
	n.reserve("1")
	n.Reevaluate()
	shy.isConfinedTo("0")
}

// An agent with a cgroup parent of its own reserves there. It is known from its
// runs alone. Who is there gets other cores before a newcomer gets any.
func TestReservations_BelowTheParentsOfTheRuns(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	path := filepath.Join(n.settings.CgroupRoot, "hpc/nomad.slice/reserve.slice/cpuset.cpus")
	must.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must.NoError(t, os.WriteFile(path, []byte("0\n"), 0o644))
	first := n.start(1)
	first.runsOn("0")
	n.Reevaluate()
	first.runsOn("0")
	second := n.runOf(Run{Asked: 1, Parent: "hpc/nomad.slice"})
	_, err := second.binder.Lease(cpuset.Set{})
	must.ErrorContains(t, err, "1 core asked, 0 free")
	first.runsOn("1")
}

func TestHotplug(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t, func(s *Settings) { s.Sysfs = sysfs(t, 1, 2, "") })
	online := func(cpus string) {
		t.Helper()
		must.NoError(t, os.WriteFile(n.settings.sysfs("devices/system/cpu/online"), []byte(cpus+"\n"), 0o644))
		n.Reevaluate()
	}
	r := n.start(1)
	r.runsOn("0")
	online("1")
	must.Eq(t, "1", n.Managed().String())
	r.runsOn("1")
	must.Eq(t, []string{"Moved from core 0 to core 1: offline"}, r.said())
	online("0-1")
	must.Eq(t, "0-1", n.Managed().String())
	r.runsOn("1")
	online("9") // nothing that this process may use: the last reading counts
	must.Eq(t, "0-1", n.Managed().String())
}
