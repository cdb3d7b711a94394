// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// requireVM skips a test that needs the machine of e2e/vm.
func requireVM(t *testing.T) {
	t.Helper()
	if !inVM() {
		t.Skip("runs in the virtual machine: make e2e-vm")
	}
}

// content returns a file's text without surrounding blanks.
func content(t *testing.T, elem ...string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(elem...))
	must.NoError(t, err)
	return strings.TrimSpace(string(raw))
}

func TestVM_Topology(t *testing.T) {
	requireVM(t)
	const sys = "/sys/devices/system"
	must.Eq(t, "0-1", content(t, sys, "node/online"))
	must.Eq(t, "0-7", content(t, sys, "node/node0/cpulist"))
	must.Eq(t, "8-15", content(t, sys, "node/node1/cpulist"))
	must.Eq(t, "10 21", content(t, sys, "node/node0/distance"))
	must.Eq(t, "0-15", content(t, sys, "cpu/online"))
	must.Eq(t, 16, runtime.NumCPU())

	cores := map[string]bool{}
	siblings, err := filepath.Glob(sys + "/cpu/cpu*/topology/thread_siblings_list")
	must.NoError(t, err)
	must.Len(t, 16, siblings)
	for _, file := range siblings {
		cores[content(t, file)] = true
	}
	must.MapLen(t, 8, cores)
	must.StrContains(t, content(t, "/sys/fs/cgroup/cgroup.controllers"), "cpuset")
}

// The machine's own cgroup tree, as in production.
func TestVM_TaskOnReservedCores(t *testing.T) {
	requireVM(t)
	a := newClient(t, cluster.Config{SharedCgroups: true})
	start(t, a)
	alloc, err := a.Run(within(t), strings.Replace(sleepJob("reserved", ""), "cpu    = 50", "cores  = 3", 1))
	must.NoError(t, err)
	_, err = a.WaitAlloc(within(t), alloc, cluster.ClientStatus(api.AllocClientStatusRunning), cluster.TaskState("sleep", "running"))
	must.NoError(t, err)
	scope := "/sys/fs/cgroup/nomad.slice/reserve.slice/" + alloc + ".sleep.scope"
	inside, err := proc.InCgroup(scope)
	must.NoError(t, err)
	must.SliceContainsFunc(t, inside, solo(t, a).PID, func(p proc.Process, pid int) bool { return p.PID == pid })
	threads, err := proc.ThreadCPUs(solo(t, a).PID)
	must.NoError(t, err)
	for _, cpus := range threads {
		must.Eq(t, content(t, scope, "cpuset.cpus"), cpus)
	}
}
