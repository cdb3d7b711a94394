// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package topology

import (
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

const (
	liveRoot = "/sys"
	cpuDir   = "devices/system/cpu"
	nodeDir  = "devices/system/node"
)

// Discover reads the machine's topology below sysfsRoot, which stands for /sys
// ("" is /sys itself). Where a file is missing or makes no sense, its value is
// filled in as well as possible, and a warning names it: a sentence for the
// operator. Discover fails only where no CPU at all can be found.
func Discover(sysfsRoot string) (topo *Topology, warnings []string, err error) {
	live := sysfsRoot == "" || filepath.Clean(sysfsRoot) == liveRoot
	if live {
		sysfsRoot = liveRoot
	}
	fs := &sysfs{root: sysfsRoot}
	t := &Topology{} // without its tables until all is read
	fs.readCPUs(t)
	switch {
	case t.Online.IsEmpty() && live:
		if err := fs.countCPUs(t, gopsutilCounts); err != nil {
			return nil, fs.warnings, fmt.Errorf("find CPUs of this machine: %w", err)
		}
	case t.Online.IsEmpty():
		return nil, fs.warnings, fmt.Errorf("no online CPU below %s: is %s a copy of /sys?", filepath.Join(sysfsRoot, cpuDir), sysfsRoot)
	default:
		fs.readPackages(t)
		fs.readCores(t)
		fs.readL3(t)
		fs.readNodes(t)
		fs.readKinds(t)
		if live {
			fs.crossCheck(t, gopsutilCounts)
		}
	}
	topo = New(t.CPUs, t.Nodes)
	topo.Isolated, _ = fs.list(filepath.Join(cpuDir, "isolated"))
	topo.NoHzFull, _ = fs.list(filepath.Join(cpuDir, "nohz_full"))
	return topo, fs.warnings, nil
}

// readCPUs finds the CPUs and which of them are online.
func (s *sysfs) readCPUs(t *Topology) {
	var dirs cpuset.Set
	for _, index := range s.numbered(cpuDir, "cpu") {
		if index >= cpuset.MaxCPUs {
			s.warn("CPUs from %d on are left out: at most %d are supported", index, cpuset.MaxCPUs)
			break
		}
		dirs.Add(index)
	}
	online, ok := s.list(filepath.Join(cpuDir, "online"))
	if ok && !online.IsEmpty() {
		if missing := online.Difference(dirs); !missing.IsEmpty() {
			s.warn("CPUs %s are online but have no directory in %s: left out", missing, cpuDir)
		}
		t.Online = online.Intersect(dirs)
	} else if !dirs.IsEmpty() {
		s.warn("no list of online CPUs in %s: asking each CPU", cpuDir)
		t.Online = s.askOnline(dirs)
	}
	for index := range dirs.All() {
		t.CPUs = append(t.CPUs, CPU{
			Index: index, Online: t.Online.Contains(index),
			Package: None, Die: None, NUMANode: None, Core: None, L3: None, L3ID: None,
		})
	}
}

// askOnline reads every CPU's own online file. CPUs that cannot be taken
// offline (cpu0 on x86) have none; an offline CPU has no topology directory.
func (s *sysfs) askOnline(dirs cpuset.Set) cpuset.Set {
	var online, described cpuset.Set
	for index := range dirs.All() {
		if state, ok := s.number(cpuPath(index, "online")); !ok || state != 0 {
			online.Add(index)
		}
		if _, ok := s.text(cpuPath(index, "topology/core_id")); ok {
			described.Add(index)
		}
	}
	if some := online.Intersect(described); !some.IsEmpty() {
		return some
	}
	return online
}

func cpuPath(index int, file string) string {
	return filepath.Join(cpuDir, "cpu"+strconv.Itoa(index), file)
}

// readPackages reads package and die numbers. The kernel says -1 where it does
// not know (s390, some virtual machines): then there is one package, 0.
func (s *sysfs) readPackages(t *Topology) {
	for i := range t.CPUs {
		cpu := &t.CPUs[i]
		if !cpu.Online {
			continue
		}
		id, ok := s.number(cpuPath(cpu.Index, "topology/physical_package_id"))
		if !ok || id < 0 {
			s.warn("the package of some CPUs is not known: taken for package 0")
			id = 0
		}
		cpu.Package = id
		if die, ok := s.number(cpuPath(cpu.Index, "topology/die_id")); ok && die >= 0 {
			cpu.Die = die
		}
	}
}

// readCores groups CPUs into physical cores by what each CPU says of its
// siblings, never by numbers of threads: those differ on hybrid machines and
// where a sibling is offline.
func (s *sysfs) readCores(t *Topology) {
	type place struct{ pkg, die, core int }
	byID := map[place]cpuset.Set{}
	siblings := map[int]cpuset.Set{}
	for _, cpu := range t.CPUs {
		if !cpu.Online {
			continue
		}
		set, ok := s.listOrMask(cpuPath(cpu.Index, "topology"), "core_cpus_list", "thread_siblings_list", "core_cpus", "thread_siblings")
		if ok {
			siblings[cpu.Index] = set
			continue
		}
		s.warn("the SMT siblings of some CPUs are not known: taken from core_id, or for cores of one thread")
		if id, ok := s.number(cpuPath(cpu.Index, "topology/core_id")); ok && id >= 0 {
			at := place{cpu.Package, cpu.Die, id}
			byID[at] = byID[at].Union(cpuset.Of(cpu.Index))
			siblings[cpu.Index] = cpuset.Of(cpu.Index)
		}
	}
	for _, set := range byID {
		for index := range set.All() {
			siblings[index] = set
		}
	}
	groups := s.disjointGroups(t.Online, siblings, "SMT siblings")
	for number, group := range groups {
		t.eachOf(group, func(c *CPU) { c.Core, c.Siblings = number, group })
	}
}

// readL3 groups CPUs by the L3 cache they share. A CPU without one keeps None.
func (s *sysfs) readL3(t *Topology) {
	sharing := map[int]cpuset.Set{}
	ids := map[int]int{}
	var cached cpuset.Set
	for _, cpu := range t.CPUs {
		if !cpu.Online {
			continue
		}
		for _, n := range s.numbered(cpuPath(cpu.Index, "cache"), "index") {
			dir := cpuPath(cpu.Index, "cache/index"+strconv.Itoa(n))
			if level, ok := s.number(filepath.Join(dir, "level")); !ok || level != 3 {
				continue
			}
			set, ok := s.listOrMask(dir, "shared_cpu_list", "shared_cpu_map")
			if !ok {
				s.warn("the L3 cache of some CPUs does not say who shares it: left out")
				continue
			}
			cached.Add(cpu.Index)
			sharing[cpu.Index] = set
			ids[cpu.Index] = None
			if id, ok := s.number(filepath.Join(dir, "id")); ok {
				ids[cpu.Index] = id
			}
		}
	}
	for number, group := range s.disjointGroups(cached, sharing, "L3 caches") {
		t.eachOf(group, func(c *CPU) { c.L3, c.L3ID = number, ids[group.First()] })
	}
}

// disjointGroups makes groups, in the order of their first CPU, of what
// each CPU says of its neighbours. Where two CPUs contradict each other the
// lower one is believed.
func (s *sysfs) disjointGroups(cpus cpuset.Set, neighbours map[int]cpuset.Set, what string) []cpuset.Set {
	var groups []cpuset.Set
	left := cpus
	for index := range cpus.All() {
		if !left.Contains(index) {
			continue
		}
		group := neighbours[index].Intersect(left)
		group.Add(index)
		for member := range group.All() {
			theirs := neighbours[member].Intersect(cpus)
			theirs.Add(member)
			if theirs != group {
				s.warn("CPUs %s do not agree on their %s: the lowest is believed", group.Union(theirs), what)
			}
		}
		groups = append(groups, group)
		left = left.Difference(group)
	}
	return groups
}
