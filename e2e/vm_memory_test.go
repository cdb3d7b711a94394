// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// The agent runs under a policy that spreads memory over the nodes, as under
// numactl --interleave=all: what is on one node afterwards is there because the
// driver saw to it.
func TestVM_MemoryIsWhereTheCoresAre(t *testing.T) {
	requireVM(t)
	for _, mode := range []string{"preferred", "strict"} {
		t.Run(mode, func(t *testing.T) {
			const patient = `STANDIN_PACE = "200ms"`
			s := newInterleavedSite(t, fmt.Sprintf("cores {\n memory = %q\n}", mode))
			one := s.start(jobHCL{name: "one", folder: s.deck("one", "solid_bar_impact"), config: "ncpu = 3", env: patient})
			two := s.start(jobHCL{name: "two", folder: s.deck("two", "solid_bar_impact"), config: "ncpu = 3", env: patient})
			for _, r := range []*run{one, two} {
				must.StrContains(t, content(t, "/proc", strconv.Itoa(r.pidFile().SupervisorPID), "numa_maps"), "interleave:0-1")
				r.memoryIsLocal()
			}
			must.NotEq(t, one.node(), two.node())
			if mode == "strict" {
				one.repairsMems()
			}

			// Nomad reserves node 0, and so the job there moves to node 1, where there
			// is room as soon as the other one has gone.
			stays, goes := one, two
			if one.node() == 1 {
				stays, goes = two, one
			}
			must.NoError(t, s.StopJob(within(t), goes.job, false))
			goes.wait(api.AllocClientStatusComplete)
			began := time.Now()
			third := s.start(jobHCL{name: "third", folder: s.deck("third", "solid_bar_impact"), env: patient, resources: "cores = 8"})
			must.Eq(t, cpuset.Range(0, 7), s.reservedCores(third.alloc), must.Sprint("the cores that Nomad took"))
			stays.said(began, "Memory moved to NUMA node 1")
			must.Eq(t, 1, stays.node())
			stays.memoryIsLocal()
			third.memoryIsLocal()
			if mode == "strict" {
				must.Eq(t, "1", content(t, stays.leaf(), "cpuset.mems"))
			}
		})
	}
}

// newInterleavedSite starts an agent that inherits a memory policy. A thread's
// policy goes to what it starts.
func newInterleavedSite(t *testing.T, config string) *site {
	t.Helper()
	const mpolDefault, mpolInterleave = 0, 3
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	both := uint64(0b11)
	_, _, errno := unix.RawSyscall(unix.SYS_SET_MEMPOLICY, mpolInterleave, uintptr(unsafe.Pointer(&both)), 64)
	must.Zero(t, errno)
	defer func() {
		_, _, errno := unix.RawSyscall(unix.SYS_SET_MEMPOLICY, mpolDefault, 0, 0)
		must.Zero(t, errno)
	}()
	return newSite(t, config, func(c *cluster.Config) { c.SharedCgroups = true })
}

// node is the one NUMA node that the run's cores are on.
func (r *run) node() int {
	r.s.t.Helper()
	nodes := nodesOf(r.checkCores())
	must.Len(r.s.t, 1, nodes)
	return nodes[0]
}

// leaf is the task's own cgroup while it has no reserved cores.
func (r *run) leaf() string {
	return "/sys/fs/cgroup/nomad.slice/share.slice/" + r.alloc + ".lsdyna.scope"
}

// memoryIsLocal waits until at least 95 % of the solver's own memory is on the
// node of its cores.
func (r *run) memoryIsLocal() {
	r.s.t.Helper()
	node := r.node()
	must.NoError(r.s.t, cluster.Poll(within(r.s.t), fmt.Sprintf("memory of %s on node %d", r.job, node), func() (bool, string, error) {
		pages, err := anonPages(r.pidFile().PID)
		total := pages[0] + pages[1]
		return err == nil && total >= 256 && 100*pages[node] >= 95*total, fmt.Sprintf("pages by node: %v", pages), err
	}))
}

// anonPages counts a process's anonymous pages on each of the two nodes, heap and
// stacks included.
func anonPages(pid int) (pages [2]int, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/numa_maps", pid))
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line)
		if strings.Contains(line, " file=") || !strings.Contains(line, " anon=") {
			continue
		}
		for _, field := range fields {
			for node := range pages {
				if n, ok := strings.CutPrefix(field, fmt.Sprintf("N%d=", node)); ok {
					count, err := strconv.Atoi(n)
					if err != nil {
						return pages, fmt.Errorf("numa_maps of %d: %w", pid, err)
					}
					pages[node] += count
				}
			}
		}
	}
	return pages, err
}

// repairsMems opens the task's memory nodes from outside.
func (r *run) repairsMems() {
	r.s.t.Helper()
	want := strconv.Itoa(r.node())
	must.Eq(r.s.t, want, content(r.s.t, r.leaf(), "cpuset.mems"))
	began := time.Now()
	must.NoError(r.s.t, os.WriteFile(filepath.Join(r.leaf(), "cpuset.mems"), []byte("0-1"), 0o644))
	r.said(began, "The task's memory nodes were changed from outside to 0-1; set to "+want+" again")
	must.NoError(r.s.t, cluster.Poll(within(r.s.t), "memory nodes", func() (bool, string, error) {
		is, err := os.ReadFile(filepath.Join(r.leaf(), "cpuset.mems"))
		return strings.TrimSpace(string(is)) == want, string(is), err
	}))
	r.memoryIsLocal()
}
