// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// withSettings is a state_dir in which a plugin left its settings.
func withSettings(t *testing.T, settings state.Settings) string {
	t.Helper()
	dir := nodetest.StateDir(t)
	store, err := state.Open(dir)
	must.NoError(t, err)
	must.NoError(t, store.WriteSettings(settings))
	must.NoError(t, store.Close())
	return dir
}

func TestStatus_countsFreeCoresByThePluginsSettings(t *testing.T) {
	sysfs := twoSockets.Sysfs(t)
	topologytest.WriteFile(t, filepath.Join(sysfs, "fs/cgroup/cpuset/nomad/cpuset.cpus"), "0-5,8-13")
	for name, c := range map[string]struct {
		settings state.Settings
		args     []string
		smt      allocator.SMT
		free     int
	}{
		"isolate":              {state.Settings{SMT: "isolate"}, nil, allocator.SMTIsolate, 5},
		"share":                {state.Settings{SMT: "share"}, nil, allocator.SMTShare, 11},
		"usable":               {state.Settings{SMT: "share", Usable: "0-1,4"}, nil, allocator.SMTShare, 2},
		"what Nomad said":      {state.Settings{SMT: "isolate", NomadUsable: "0-2,8-10"}, nil, allocator.SMTIsolate, 2},
		"flags over settings":  {state.Settings{SMT: "share", Usable: "0-1,4"}, []string{"-smt", "isolate", "-usable", "0-3,8-11"}, allocator.SMTIsolate, 3},
		"one thread of a core": {state.Settings{SMT: "isolate", Usable: "0-3"}, nil, allocator.SMTIsolate, 3},
	} {
		t.Run(name, func(t *testing.T) {
			dir := withSettings(t, c.settings)
			nodetest.Task{Job: "a", Alloc: allocA, Name: "solve", Cores: []int{0}}.Make(t, dir)
			s := statusOf(t, dir, sysfs, c.args...)
			must.Eq(t, c.smt, s.SMT)
			must.Eq(t, c.free, s.AvailableCores)
			must.SliceEmpty(t, s.Notes)
		})
	}
}

// A task on both threads of a core looks like sharing, and is none where the plugin
// says otherwise.
func TestStatus_believesThePluginsSettings(t *testing.T) {
	sysfs := twoSockets.Sysfs(t)
	dir := withSettings(t, state.Settings{SMT: "isolate"})
	nodetest.Task{Job: "a", Alloc: allocA, Name: "solve", Cores: []int{0, 8}}.Make(t, dir)
	s := statusOf(t, dir, sysfs)
	must.Eq(t, allocator.SMTIsolate, s.SMT)
	must.Eq(t, 7, s.AvailableCores)
}

func TestStatus_saysWhereSettingsCannotBeRead(t *testing.T) {
	dir := nodetest.StateDir(t)
	must.NoError(t, os.WriteFile(filepath.Join(dir, "settings.json"), []byte("{"), 0o600))
	s := statusOf(t, dir, twoSockets.Sysfs(t))
	must.Len(t, 1, s.Notes)
	must.StrContains(t, s.Notes[0], "which cores it gives out is guessed")
	must.Eq(t, 8, s.AvailableCores)
}

// isolatedSysfs has the cores of CPUs 6-7 isolated and those of 2-3 without tick.
func isolatedSysfs(t *testing.T) string {
	t.Helper()
	sysfs := twoSockets.Sysfs(t)
	topologytest.WriteFile(t, filepath.Join(sysfs, "devices/system/cpu/isolated"), "6-7,14-15")
	topologytest.WriteFile(t, filepath.Join(sysfs, "devices/system/cpu/nohz_full"), "2-3,10-11")
	return sysfs
}

func TestTopology_showsIsolatedAndTicklessCores(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	r := call(t, "topology", "-sysfs", isolatedSysfs(t))
	must.Eq(t, exitOK, r.code)
	must.Eq(t, strings.TrimPrefix(`
2 sockets, 2 NUMA nodes, 8 cores, 16 CPUs, hyper-threading

Socket 0, NUMA node 0   4 cores
  cpu 0-3    o o n n
  cpu 8-11   . . . .
Socket 1, NUMA node 1   4 cores
  cpu 4-7    o o i i
  cpu 12-15  . . i i
o core   n core without timer tick (nohz_full)
. second thread of the core above   i isolated (isolcpus)
Isolated from the scheduler (isolcpus): cpu 6-7,14-15. Given out only where
  cores.usable names them, and not mixed with others in one job.
Without timer tick (nohz_full): cpu 2-3,10-11. Preferred where a job fits there
  as well as elsewhere.
`, "\n"), r.out)
}

func TestPlan_isolatedCores(t *testing.T) {
	sysfs := isolatedSysfs(t)
	t.Setenv("COLUMNS", "200")
	plan := func(args ...string) result { return call(t, append([]string{"plan", "-sysfs", sysfs}, args...)...) }

	out := plan("-ncpu", "2").out
	must.StrContains(t, out, "cores 2-3 (2 cores, NUMA node 0)")
	must.StrContains(t, out, "without timer tick (nohz_full)")
	must.StrContains(t, out, "  cpu 4-7    . . i i\n  cpu 12-15  . . i i\n")
	must.StrContains(t, out, "i isolated, not given out")

	out = plan("-ncpu", "2", "-usable", "0-15").out
	must.StrContains(t, out, "cores 6-7 (2 cores, NUMA node 1)")
	must.StrContains(t, out, "isolated from the scheduler (isolcpus)")

	out = plan("-ncpu", "1", "-usable", "0-1").out
	must.StrContains(t, out, "  cpu 8-11   / / / /\n")
	must.StrContains(t, out, "/ not given out")

	short := plan("-ncpu", "7")
	must.Eq(t, exitNo, short.code)
	must.StrContains(t, strings.Join(strings.Fields(short.out), " "),
		"CPUs 6-7,14-15 are isolated (isolcpus): cores.usable has to name them.")
	must.Eq(t, exitOK, plan("-ncpu", "8", "-usable", "0-15").code)
	must.Eq(t, exitUsage, plan("-ncpu", "1", "-usable", "x").code)
}

func TestStatus_leavesIsolatedCoresOut(t *testing.T) {
	sysfs := isolatedSysfs(t)
	dir := nodetest.StateDir(t)
	must.Eq(t, 6, statusOf(t, dir, sysfs).AvailableCores)
	must.StrContains(t, call(t, "status", "-state-dir", dir, "-sysfs", sysfs).out, "  cpu 4-7    . . i i\n")
	must.Eq(t, 8, statusOf(t, withSettings(t, state.Settings{SMT: "isolate", Usable: "0-15"}), sysfs).AvailableCores)
}
