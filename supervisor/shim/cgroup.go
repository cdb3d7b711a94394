// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/internal/proctree"
)

// setUpCgroup writes the task's limits and its leaf cpuset. Nomad only makes
// the cgroups; without its own cpuset.cpus a task would run on the cores of every
// other task that reserved some.
func setUpCgroup(s *Spec) error {
	if s.Cgroups.Mode == CgroupNone {
		return nil
	}
	if err := makePids(s.Cgroups.Pids); err != nil {
		return err
	}
	for _, w := range limitFiles(s) {
		_, err := proctree.WriteCgroup(w.dir, w.file, w.value)
		if err != nil && w.file != swappiness { // a wish, which not every kernel grants
			return fmt.Errorf("set %s of cgroup %s to %s: %w", w.file, w.dir, w.value, err)
		}
	}
	leaf := s.Cgroups.LeafCpuset
	if leaf == "" {
		return nil
	}
	// Memory nodes first: v1 refuses processes while either is empty.
	for _, w := range []cgroupFile{{leaf, "cpuset.mems", s.Cgroups.Mems}, {leaf, "cpuset.cpus", s.Cgroups.CPUs}} {
		if w.value == "" {
			continue
		}
		if _, err := proctree.WriteCgroup(w.dir, w.file, w.value); err != nil {
			return leafError(s.Cgroups.Mode, w, err)
		}
	}
	return nil
}

// leafError says what refused a write to the task's leaf cpuset. The kernel wants its
// cores in the cpuset above (validate_change in kernel/cgroup/cpuset.c). Nomad 1.11 takes
// an ended allocation's out of there also where the one that replaces it has reserved
// them already: partition.Release in client/lib/cgroupslib keeps a set and counts nobody.
func leafError(mode CgroupMode, w cgroupFile, err error) error {
	err = fmt.Errorf("set %s of cgroup %s to %s: %w", w.file, w.dir, w.value, err)
	if mode == CgroupV1 && w.file == "cpuset.cpus" && errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("%w: the cpuset above does not have these cores: Nomad took them out of it with the allocation that had them before; "+
			"the next allocation gets them (by reschedule, or nomad job stop and nomad job run)", err)
	}
	return err
}

const swappiness = "memory.swappiness"

type cgroupFile struct{ dir, file, value string }

// limitFiles lists what raw_exec writes, too (swappiness included).
func limitFiles(s *Spec) []cgroupFile {
	var files []cgroupFile
	add := func(dir, file, value string) {
		if dir != "" {
			files = append(files, cgroupFile{dir, file, value})
		}
	}
	l, c := s.Limits, &s.Cgroups
	memory, cpu := c.controller(c.Memory), c.controller(c.CPU)
	limit, low, none := "memory.limit_in_bytes", "memory.soft_limit_in_bytes", "-1"
	if c.Mode == CgroupV2 {
		limit, low, none = "memory.max", "memory.low", "max"
	}
	switch {
	case l.MemoryMax > 0:
		add(memory, limit, strconv.FormatInt(l.MemoryMax, 10))
	case l.MemoryMax < 0:
		add(memory, limit, none)
	}
	if l.MemoryLow > 0 {
		add(memory, low, strconv.FormatInt(l.MemoryLow, 10))
	}
	switch {
	case c.Mode == CgroupV2 && l.CPUWeight > 0:
		add(cpu, "cpu.weight", strconv.FormatInt(l.CPUWeight, 10))
	case c.Mode == CgroupV1 && l.CPUShares > 0:
		add(cpu, "cpu.shares", strconv.FormatInt(l.CPUShares, 10))
	}
	if l.Processes > 0 {
		add(c.controller(c.Pids), "pids.max", strconv.FormatInt(l.Processes, 10))
	}
	if c.Mode == CgroupV1 && l.MemoryMax != 0 {
		add(memory, swappiness, "0")
	}
	return files
}

// makePids makes the cgroup that Nomad does not make. It is this run's alone: runs of
// one task would remove it under each other.
func makePids(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("bound the task's processes: %w (max_processes = 0 in the plugin's configuration goes without)", err)
	}
	return nil
}

// RemovePids removes what makePids made, if nobody has. It must only be called when
// no process of the task is left; one that nobody has waited for yet keeps it for a
// moment.
func (c *Cgroups) RemovePids() error {
	if c.Pids == "" {
		return nil
	}
	return removeCgroup(c.Pids)
}

// EmptyCpuset takes the CPUs back that setUpCgroup wrote to a leaf cpuset of cgroup v1.
// Nomad removes the leaf after the task, but not where its client was killed in between:
// Wranglers.Destroy in client/lib/proclib knows only tasks that the same client has
// started. The CPUs of a leaf that is left would have the kernel refuse to take them out of
// the cpuset above, which Nomad tries for every task that it starts from then on. It must
// only be called when no process of the task is left; the kernel refuses it else.
func (c *Cgroups) EmptyCpuset() error {
	if c.Mode != CgroupV1 || c.LeafCpuset == "" {
		return nil
	}
	// An empty write never reaches the kernel.
	if _, err := proctree.WriteCgroup(c.LeafCpuset, "cpuset.cpus", "\n"); err != nil {
		return fmt.Errorf("take the cores out of cgroup %s: %w", c.LeafCpuset, err)
	}
	return nil
}

// RemoveTask removes the cgroups of a task that nobody will start again, by the name
// that Nomad gave them. Those that it shares with others stay.
func (c *Cgroups) RemoveTask(scope string) error {
	var errs []error
	for _, dir := range append([]string{c.LeafCpuset}, c.Join...) {
		name := strings.TrimSuffix(dir[strings.LastIndexByte(dir, '/')+1:], ".scope")
		if dir != c.Pids && name == scope {
			errs = append(errs, removeCgroup(dir))
		}
	}
	return errors.Join(append(errs, c.RemovePids())...)
}

// removeCgroup removes a cgroup, if nobody has.
func removeCgroup(dir string) error {
	for pause := time.Millisecond; ; pause *= 2 {
		err := syscall.Rmdir(dir)
		if err == nil || err == syscall.ENOENT {
			return nil
		}
		if err != syscall.EBUSY || pause > 500*time.Millisecond {
			return &os.PathError{Op: "remove cgroup", Path: dir, Err: err}
		}
		time.Sleep(pause)
	}
}

// oomKills counts the processes of the task that the kernel has killed for want
// of memory: memory.events (v2) or memory.oom_control (v1, since Linux 4.13).
func oomKills(s *Spec) uint64 {
	dir, file := s.Cgroups.Memory, "memory.oom_control"
	if s.Cgroups.Mode == CgroupV2 {
		dir, file = s.Cgroups.Join[0], "memory.events"
	}
	if dir == "" {
		return 0
	}
	data, err := os.ReadFile(dir + "/" + file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			return n
		}
	}
	return 0
}
