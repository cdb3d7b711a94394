// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package topology

import (
	"errors"
	"fmt"

	"github.com/shirou/gopsutil/v3/cpu"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// counter returns how many logical CPUs and physical cores this machine has.
type counter func() (logical, physical int, err error)

// gopsutilCounts asks gopsutil, which reads /proc/cpuinfo first.
func gopsutilCounts() (logical, physical int, err error) {
	if logical, err = cpu.Counts(true); err != nil {
		return 0, 0, fmt.Errorf("count logical CPUs: %w", err)
	}
	if physical, err = cpu.Counts(false); err != nil {
		return 0, 0, fmt.Errorf("count physical cores: %w", err)
	}
	return logical, physical, nil
}

// countCPUs makes a flat machine of the counts where sysfs tells nothing: every
// logical CPU a core of its own, one package, one node. Cores whose siblings
// are not known cannot be told apart, so nothing is promised of them.
func (s *sysfs) countCPUs(t *Topology, count counter) error {
	logical, physical, err := count()
	if err != nil {
		return err
	}
	if logical < 1 || logical > cpuset.MaxCPUs {
		return errors.New("no sysfs, and no count of CPUs that makes sense")
	}
	s.warn("no topology in %s: %d CPUs (%d cores) taken for single cores of one NUMA node", cpuDir, logical, physical)
	t.Online = cpuset.Range(0, logical-1)
	t.Nodes = []NUMANode{{ID: 0, CPUs: t.Online}}
	for index := range logical {
		t.CPUs = append(t.CPUs, CPU{
			Index: index, Online: true, Core: index, Siblings: cpuset.Of(index),
			Die: None, L3: None, L3ID: None,
		})
	}
	return nil
}

// crossCheck warns where gopsutil counts otherwise than sysfs, which is believed.
func (s *sysfs) crossCheck(t *Topology, count counter) {
	logical, physical, err := count()
	if err != nil {
		s.warn("gopsutil cannot count CPUs: %v", err)
		return
	}
	cores := map[int]bool{}
	for _, c := range t.CPUs {
		if c.Online {
			cores[c.Core] = true
		}
	}
	if logical != t.LogicalCores() || physical != len(cores) {
		s.warn("sysfs has %d logical and %d physical cores, gopsutil counts %d and %d: sysfs is believed",
			t.LogicalCores(), len(cores), logical, physical)
	}
}
