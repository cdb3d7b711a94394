// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package topologytest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// Machine is a shape with what makes a machine uneven.
type Machine struct {
	Shape
	Efficiency int    // further cores of one thread, in the last L3 cache
	Offline    string // CPUs that are there and offline: "8,9"
}

// Sysfs writes a tree that stands for /sys, and returns its root.
func (s Shape) Sysfs(t testing.TB) string { return Machine{Shape: s}.Sysfs(t) }

// Sysfs writes a tree that stands for /sys, and returns its root. CPUs are numbered
// as by Shape.Topology, those of efficiency cores behind the others.
func (m Machine) Sysfs(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	cpus := m.fastCores() * m.Threads
	nodes := map[int][]int{}
	for index := range cpus + m.Efficiency {
		m.writeCPU(t, root, index)
		node := m.cache(index) / m.L3s
		nodes[node] = append(nodes[node], index)
	}
	if m.Offline != "" {
		for cpu := range strings.SplitSeq(m.Offline, ",") {
			WriteFile(t, filepath.Join(root, "devices/system/cpu/cpu"+cpu, "online"), "0")
		}
	}
	WriteFile(t, filepath.Join(root, "devices/system/cpu/online"), interval(0, cpus+m.Efficiency-1))
	for node, members := range nodes {
		dir := filepath.Join(root, "devices/system/node", "node"+strconv.Itoa(node))
		WriteFile(t, filepath.Join(dir, "cpulist"), list(members))
		WriteFile(t, filepath.Join(dir, "distance"), m.distances(node))
	}
	WriteFile(t, filepath.Join(root, "devices/system/node/online"), interval(0, len(nodes)-1))
	if m.Efficiency > 0 {
		WriteFile(t, filepath.Join(root, "devices/cpu_core/cpus"), interval(0, cpus-1))
		WriteFile(t, filepath.Join(root, "devices/cpu_atom/cpus"), interval(cpus, cpus+m.Efficiency-1))
	}
	return root
}

// fastCores is the number of cores without the efficiency cores.
func (m Machine) fastCores() int { return m.Packages * m.Nodes * m.L3s * m.Cores }

// cache is the L3 cache of a CPU.
func (m Machine) cache(cpu int) int {
	fast := m.fastCores()
	if cpu >= fast*m.Threads {
		return fast/m.Cores - 1
	}
	return cpu % fast / m.Cores
}

func (m Machine) writeCPU(t testing.TB, root string, cpu int) {
	t.Helper()
	fast := m.fastCores()
	core, siblings := cpu%fast, []int{}
	if cpu >= fast*m.Threads {
		core, siblings = cpu-fast*(m.Threads-1), []int{cpu}
	} else {
		for thread := range m.Threads {
			siblings = append(siblings, thread*fast+core)
		}
	}
	var shared []int
	for other := range fast*m.Threads + m.Efficiency {
		if m.cache(other) == m.cache(cpu) {
			shared = append(shared, other)
		}
	}
	dir := filepath.Join(root, "devices/system/cpu", "cpu"+strconv.Itoa(cpu))
	for path, content := range map[string]string{
		"topology/core_id":              strconv.Itoa(core),
		"topology/physical_package_id":  strconv.Itoa(m.cache(cpu) / m.L3s / m.Nodes),
		"topology/thread_siblings_list": list(siblings),
		"topology/core_cpus_list":       list(siblings),
		"cache/index3/level":            "3",
		"cache/index3/type":             "Unified",
		"cache/index3/shared_cpu_list":  list(shared),
	} {
		WriteFile(t, filepath.Join(dir, path), content)
	}
}

// distances is node's line of the SLIT table: 12 within a package, 32 beyond.
func (m Machine) distances(node int) string {
	row := slices.Repeat([]string{"32"}, m.Packages*m.Nodes)
	for other := range row {
		if other/m.Nodes == node/m.Nodes {
			row[other] = "12"
		}
	}
	row[node] = "10"
	return strings.Join(row, " ")
}

func interval(from, to int) string { return fmt.Sprintf("%d-%d", from, to) }

func list(cpus []int) string {
	items := make([]string, len(cpus))
	for i, cpu := range cpus {
		items[i] = strconv.Itoa(cpu)
	}
	return strings.Join(items, ",")
}

// WriteFile writes a line to a file below a folder that is made where it is
// missing.
func WriteFile(t testing.TB, path, line string) {
	t.Helper()
	must.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must.NoError(t, os.WriteFile(path, []byte(line+"\n"), 0o644))
}
