// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
)

// bindFromOutside puts every thread of the solver on some CPUs, as taskset -a does.
func (r *run) bindFromOutside(cpus ...int) {
	r.t.Helper()
	var mask unix.CPUSet
	for _, cpu := range cpus {
		mask.Set(cpu)
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", r.pid))
	must.NoError(r.t, err)
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		must.NoError(r.t, err)
		_ = unix.SchedSetaffinity(tid, &mask) // it may have ended
	}
}

// All threads on some of the task's own cores only is what nobody wants who gave
// the task these cores.
func TestDrift_NarrowedWithinTheLease(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t, func(c *settings.Config) { c.Cores.Usable = "0-1" })
	r := n.start(slowJob("ncpu = 2"))
	r.runsOn("0-1")
	r.says("STANDIN-AFFINITY rank=0") // its threads are there
	eventually(t, "narrowed, twice looked at and told", func() bool {
		if strings.Contains(strings.Join(n.said(r.id), "\n"), "Affinity was narrowed from outside to core 1; bound to cores 0-1 again") {
			return true
		}
		if !slices.Equal(r.threads(), []string{"1"}) {
			r.bindFromOutside(1) // threads that were started in between escaped
		}
		return false
	})
	eventually(t, "it has both cores again", func() bool { return slices.Equal(r.threads(), []string{"0-1"}) })
}

func TestDrift_TheTasksOwnCpuset(t *testing.T) {
	needCPUs(t, 2)
	n := newLoneNode(t)
	j := slowJob("")
	j.cores, j.cgroup = "0-1", true
	r := n.start(j)
	r.runsOn("0-1")
	leaf := filepath.Join(r.task().Spec().Cgroups.LeafCpuset, "cpuset.cpus")
	must.NoError(t, os.WriteFile(leaf, []byte("1\n"), 0o644))
	n.hears(r.id, "The task's cpuset was changed from outside to 1; set to cores 0-1 again")
	is, err := os.ReadFile(leaf)
	must.NoError(t, err)
	must.Eq(t, "0-1", strings.TrimSpace(string(is)))
	r.runsOn("0-1")
}

// The share cpuset is Nomad's: what is wrong there is told, and put right as soon
// as it is.
func TestDrift_TheShareCpuset(t *testing.T) {
	needCPUs(t, 2)
	n := newLoneNode(t)
	j := slowJob("ncpu = 1")
	j.cgroup = true
	r := n.start(j)
	r.runsOn("0")
	online := n.cores.Topology().Online
	must.NoError(t, setPartition("share", online.Difference(cpuset.Of(0)).String()))
	defer func() { must.NoError(t, setPartition("share", online.String())) }()
	n.hears(r.id, "Core 0 is withheld from the task, which has 0, by the cpuset of cgroup ")
	must.NoError(t, setPartition("share", online.String()))
	eventually(t, "the solver is back", func() bool { return slices.Equal(r.threads(), []string{"0"}) })
	r.runsOn("0")
}
