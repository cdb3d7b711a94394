// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package topology

import (
	"errors"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

func TestCountCPUs_makesAFlatMachine(t *testing.T) {
	fs := &sysfs{}
	topo := &Topology{}
	must.NoError(t, fs.countCPUs(topo, func() (int, int, error) { return 4, 2, nil }))
	must.StrContains(t, fs.warnings[0], "4 CPUs (2 cores)")
	topo = New(topo.CPUs, topo.Nodes)
	must.Eq(t, cpuset.Range(0, 3), topo.Online)
	must.Eq(t, 4, topo.PhysicalCores())
	must.Eq(t, 1, topo.Packages())
	must.Eq(t, []int{0}, topo.NodesOf(topo.Online))

	must.Error(t, fs.countCPUs(topo, func() (int, int, error) { return 0, 0, errors.New("no /proc") }))
	must.Error(t, fs.countCPUs(topo, func() (int, int, error) { return 0, 0, nil }))
}

func TestCrossCheck_warnsOfOtherCounts(t *testing.T) {
	var cpus []CPU // 4 cores of 2 threads
	for index := range 8 {
		cpus = append(cpus, CPU{Index: index, Online: true, Core: index % 4, L3: None, Siblings: cpuset.Of(index%4, index%4+4)})
	}
	topo := New(cpus, []NUMANode{{CPUs: cpuset.Range(0, 7)}})
	fs := &sysfs{}
	fs.crossCheck(topo, func() (int, int, error) { return 8, 4, nil })
	must.SliceEmpty(t, fs.warnings)
	fs.crossCheck(topo, func() (int, int, error) { return 8, 8, nil })
	must.StrContains(t, fs.warnings[0], "8 logical and 4 physical cores, gopsutil counts 8 and 8")
}
