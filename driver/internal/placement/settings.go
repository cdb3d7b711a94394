// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"fmt"

	"github.com/hashicorp/nomad/client/lib/numalib"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// Settings are the agent's settings about cores.
type Settings struct {
	Options allocator.Options
	Usable  cpuset.Set // CPUs that the operator names; empty: all that Nomad may use
	Memory  MemoryMode

	// Nomad are the CPUs that Nomad may use. Nil: the agent did not say.
	Nomad *cpuset.Set

	Sysfs      string // where sysfs is mounted, "" for /sys
	CgroupRoot string // where cgroups are mounted, "" for /sys/fs/cgroup
}

// MemoryMode says where the memory of a run with cores comes from. The zero value
// is MemoryPreferred. On a machine with memory on one NUMA node only, the modes do
// not differ.
type MemoryMode string

const (
	// MemoryPreferred takes memory from the nodes of the run's cores while they have
	// any free, by the kernel's own local policy. The run does not inherit a policy
	// that the agent was started under (numactl, systemd's NUMAPolicy=). The memory
	// follows when the run is moved.
	MemoryPreferred MemoryMode = "preferred"

	// MemoryStrict takes memory from these nodes and nowhere else, by cpuset.mems
	// where the run has a cpuset of its own. When they are full, the kernel reclaims,
	// swaps, and in the end kills the run.
	MemoryStrict MemoryMode = "strict"

	// MemoryNone leaves memory alone.
	MemoryNone MemoryMode = "none"
)

// ParseMemoryMode reads the value of the agent's `memory`; "" is preferred.
func ParseMemoryMode(text string) (MemoryMode, error) {
	switch mode := MemoryMode(text); mode {
	case "":
		return MemoryPreferred, nil
	case MemoryPreferred, MemoryStrict, MemoryNone:
		return mode, nil
	}
	return "", fmt.Errorf("memory must be preferred, strict or none, not %q", text)
}

// UsableByNomad takes from Nomad's topology only which CPUs Nomad may use, nil
// where it does not say. The shape of the machine comes from sysfs: without cpufreq
// Nomad reports one NUMA node for all cores.
func UsableByNomad(topo *numalib.Topology) *cpuset.Set {
	if topo == nil || len(topo.Cores) == 0 {
		return nil
	}
	var usable cpuset.Set
	for _, core := range topo.Cores {
		if !core.Disable {
			usable.Add(int(core.ID))
		}
	}
	return &usable
}
