// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package topology

import (
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// readKinds tells performance from efficiency cores. Three sources, the
// surest first: the PMU's lists of an Intel hybrid (devices/cpu_core,
// devices/cpu_atom), the scheduler's cpu_capacity (Arm; Intel since 6.12), the
// highest frequency. A core is of the kind of its fastest thread.
func (s *sysfs) readKinds(t *Topology) {
	slow := s.atomCPUs(t.Online)
	for _, file := range []string{"cpu_capacity", "cpufreq/cpuinfo_max_freq"} {
		if slow.IsEmpty() {
			slow = slowest(s.eachNumber(t.Online, file), t.Online)
		}
	}
	for i := range t.CPUs {
		if cpu := &t.CPUs[i]; cpu.Online && cpu.Siblings.SubsetOf(slow) {
			cpu.Kind = Efficiency
		}
	}
}

// atomCPUs returns the efficiency cores of an Intel hybrid; both lists must be
// there, or the machine is not a hybrid.
func (s *sysfs) atomCPUs(online cpuset.Set) cpuset.Set {
	core, isHybrid := s.list("devices/cpu_core/cpus")
	atom, ok := s.list("devices/cpu_atom/cpus")
	if !ok || !isHybrid || core.Intersect(online).IsEmpty() {
		return cpuset.Set{}
	}
	return atom.Intersect(online).Difference(core)
}

// eachNumber reads one file of every CPU; CPUs without it are left out.
func (s *sysfs) eachNumber(online cpuset.Set, file string) map[int]int {
	values := map[int]int{}
	for index := range online.All() {
		if n, ok := s.number(cpuPath(index, file)); ok && n > 0 {
			values[index] = n
		}
	}
	return values
}

// kindGapPercent is how much slower than the next faster group of cores a group
// must be to be another kind. Favoured cores of one kind differ by up to a
// tenth (Turbo Boost Max 3.0, X3D dies), two kinds by a fifth and more.
const kindGapPercent = 15

// slowest returns the CPUs below the widest relative gap in the values, or none
// where no gap is wide enough or some CPU has no value.
func slowest(values map[int]int, online cpuset.Set) cpuset.Set {
	var slow cpuset.Set
	if len(values) != online.Len() {
		return slow
	}
	speeds := make([]int, 0, len(values))
	for _, v := range values {
		speeds = append(speeds, v)
	}
	slices.Sort(speeds)
	limit, widest := 0, 1-kindGapPercent/100.0
	for i := 1; i < len(speeds); i++ {
		if ratio := float64(speeds[i-1]) / float64(speeds[i]); ratio <= widest {
			limit, widest = speeds[i], ratio
		}
	}
	for index, v := range values {
		if v < limit {
			slow.Add(index)
		}
	}
	return slow
}
