// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// The machine of e2e/vm has two sockets of four cores of two threads, each
// socket a NUMA node, and cgroups v2: the driver on what it was built for.
func TestVM_Driver(t *testing.T) {
	requireVM(t)
	s := newSite(t, "", func(c *cluster.Config) { c.SharedCgroups = true })
	const patient = `STANDIN_PACE = "200ms"`
	deck := func(name string) string { return s.deck(name, "solid_bar_impact") }

	one := s.start(jobHCL{name: "one", folder: deck("one"), config: "ncpu = 3", env: patient})
	two := s.start(jobHCL{name: "two", folder: deck("two"), config: "ncpu = 3", env: patient})

	t.Run("two jobs sit on two NUMA nodes, one thread a core, siblings idle", func(t *testing.T) {
		a, b := one.checkCores(), two.checkCores()
		must.Eq(t, 3, a.Len())
		must.Eq(t, 3, b.Len())
		for _, cpus := range []cpuset.Set{a, b} {
			must.Eq(t, 1, len(nodesOf(cpus)), must.Sprintf("cores %s", cpus))
			must.Eq(t, cpus.Len(), len(coresOf(t, cpus)), must.Sprintf("cores %s share a physical core", cpus))
		}
		must.NotEq(t, nodesOf(a)[0], nodesOf(b)[0])
		must.Eq(t, a.String(), one.firstMask())
		must.Eq(t, b.String(), two.firstMask())
	})

	t.Run("the leaf cpuset is the lease", func(t *testing.T) {
		a := one.checkCores()
		scope := "/sys/fs/cgroup/nomad.slice/share.slice/" + one.alloc + ".lsdyna.scope"
		must.Eq(t, a.String(), content(t, scope, "cpuset.cpus"))
		must.StrContains(t, content(t, scope, "cgroup.procs"), strconv.Itoa(one.pidFile().PID))
		must.Eq(t, "314572800", content(t, scope, "memory.max"))
	})

	t.Run("restarts keep the cores", func(t *testing.T) {
		a, pid := one.checkCores(), one.pidFile().PID
		for _, how := range disturbances {
			before := one.recoveries()
			how.do(s)
			one.recovered()
			if how.newPlugin {
				one.takenUp(before)
			}
			must.Eq(t, a, one.checkCores())
			must.Eq(t, pid, one.pidFile().PID)
		}
	})

	t.Run("a foreign affinity is repaired", func(t *testing.T) {
		a := one.checkCores()
		began := time.Now()
		var mask unix.CPUSet
		mask.Set(a.First())
		mask.Set(15)
		// The leaf cpuset does not let CPU 15 in, so it is opened first, as a
		// careless administrator would.
		// Between the two the driver may close it again.
		scope := "/sys/fs/cgroup/nomad.slice/share.slice/" + one.alloc + ".lsdyna.scope"
		must.NoError(t, cluster.Poll(within(t), "a foreign affinity", func() (bool, string, error) {
			if err := os.WriteFile(scope+"/cpuset.cpus", []byte("0-15"), 0o644); err != nil {
				return false, "", err
			}
			err := unix.SchedSetaffinity(one.pidFile().PID, &mask)
			var got unix.CPUSet
			return err == nil && unix.SchedGetaffinity(one.pidFile().PID, &got) == nil && got.IsSet(15), fmt.Sprint(err), nil
		}))
		one.said(began, "Affinity was changed from outside")
		must.Eq(t, a, one.checkCores())
		must.Eq(t, a.String(), content(t, scope, "cpuset.cpus"))
	})

	t.Run("a CPU that goes offline moves its job", func(t *testing.T) {
		a := two.checkCores()
		gone := a.First()
		if gone == 0 {
			gone = a.Slice()[1] // CPU 0 cannot go
		}
		began := time.Now()
		online := fmt.Sprintf("/sys/devices/system/cpu/cpu%d/online", gone)
		must.NoError(t, os.WriteFile(online, []byte("0"), 0o644))
		t.Cleanup(func() { _ = os.WriteFile(online, []byte("1"), 0o644) })
		two.said(began, "Moved from "+allocator.Name(a))
		b := two.checkCores()
		must.Eq(t, 3, b.Len())
		must.False(t, b.Contains(gone))
		must.False(t, b.Overlaps(one.checkCores()))
		must.NoError(t, os.WriteFile(online, []byte("1"), 0o644))
	})

	t.Run("cores that Nomad reserves are exactly those, and others move away", func(t *testing.T) {
		third := s.start(jobHCL{name: "third", folder: deck("third"), env: patient, resources: "cores = 4"})
		nomads := s.reservedCores(third.alloc)
		must.Eq(t, 4, nomads.Len())
		must.Eq(t, nomads, third.checkCores())
		for _, r := range []*run{one, two} {
			must.NoError(t, cluster.Poll(within(t), "disjoint cores", func() (bool, string, error) {
				cpus := cpuset.Of(r.pidFile().Cores...)
				return !cpus.Overlaps(nomads), cpus.String(), nil
			}))
			must.False(t, r.checkCores().Overlaps(nomads))
		}
		must.NoError(t, s.StopJob(within(t), "third", false))
		third.wait(api.AllocClientStatusComplete)
	})

	t.Run("out of memory is told as such", func(t *testing.T) {
		hungry := s.submit(jobHCL{name: "hungry", folder: deck("hungry"), config: "ncpu = 1", env: `STANDIN_FAULT = "oom=5"`})
		alloc := hungry.wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", "out of memory"))
		code, _, err := cluster.Exit(alloc, "lsdyna")
		must.NoError(t, err)
		must.Eq(t, 137, code)
	})

	t.Run("the stop ends everything", func(t *testing.T) {
		for _, r := range []*run{one, two} {
			must.NoError(t, s.StopJob(within(t), r.job, false))
			r.wait(api.AllocClientStatusComplete)
			must.Len(t, 0, r.solvers())
		}
	})
}

// nodesOf returns the NUMA nodes of CPUs on the machine of e2e/vm.
func nodesOf(cpus cpuset.Set) []int {
	var nodes []int
	for node, of := range []cpuset.Set{cpuset.Range(0, 7), cpuset.Range(8, 15)} {
		if cpus.Overlaps(of) {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// coresOf returns the physical cores that CPUs belong to, by their siblings.
func coresOf(t *testing.T, cpus cpuset.Set) map[string]bool {
	t.Helper()
	cores := map[string]bool{}
	for cpu := range cpus.All() {
		cores[strings.TrimSpace(content(t, fmt.Sprintf("/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu)))] = true
	}
	return cores
}
