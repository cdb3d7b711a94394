// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package proctree lists, signals, ends and binds the processes of one task.
// They are those in the task's cgroup; without cgroups, the descendants of the
// task's supervisor (a subreaper, so that nothing escapes it) and of its main
// process, and what shares the main process's session.
//
// Both the plugin and the supervisor use it, and the supervisor has to be small
// and quick to start, so it imports little (see package shim).
package proctree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// Tree says where a task's processes are to be found.
type Tree struct {
	ProcRoot string // "/proc"

	// Cgroup is the directory in whose cgroup.procs the processes are: v2
	// the task's, v1 its freezer's. Empty: there are no cgroups.
	Cgroup string
	V2     bool

	// Parent is a process all of whose descendants belong to the task,
	// itself excluded: the supervisor, while it lives. 0: none.
	Parent int

	// Main is the task's main process and MainStart its start time in
	// clock ticks; with Session, the main process is known to be gone or to be
	// exactly this one, and processes of its session and below it count too.
	Main      int
	MainStart uint64
	Session   bool

	// Sessions are further sessions whose processes belong to the task. Nobody
	// has waited for their leaders yet, so their ids are their own.
	Sessions []int

	// Scan, if not nil, is what all processes are taken to be. It may be a moment old:
	// good to look by, not to act by.
	Scan *Scan
}

// PIDs returns the live processes in ascending order, zombies left out.
func (t *Tree) PIDs() ([]int, error) {
	pids, _, err := t.list()
	return pids, err
}

// list returns the live processes in ascending order, and those that were listed
// but have ended: zombies, and without a cgroup also processes that may be another
// task's.
func (t *Tree) list() (pids, ended []int, err error) {
	found := map[int]bool{}
	if t.Cgroup != "" {
		if err := cgroupPIDs(t.Cgroup, found); err != nil {
			return nil, nil, err
		}
		for pid := range found {
			// v1 lists a process until its parent has waited for it.
			if p, err := procfs.ReadStat(t.ProcRoot, pid); err != nil || p.Over() {
				delete(found, pid)
				ended = append(ended, pid)
			}
		}
	}
	if t.Parent != 0 || t.Session || len(t.Sessions) > 0 {
		more, err := t.addRelatives(found)
		if err != nil {
			return nil, nil, err
		}
		ended = append(ended, more...)
	}
	pids = make([]int, 0, len(found))
	for pid := range found {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids, ended, nil
}

// cgroupPIDs adds the processes of a cgroup and the cgroups below it. A cgroup
// that is gone has none.
func cgroupPIDs(dir string, found map[int]bool) error {
	data, err := os.ReadFile(dir + "/cgroup.procs")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for field := range strings.FieldsSeq(string(data)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return fmt.Errorf("list processes of %s: %w", dir, err)
		}
		if pid > 0 { // 0: a process of an outer pid namespace
			found[pid] = true
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // removed meanwhile
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := cgroupPIDs(dir+"/"+e.Name(), found); err != nil {
				return err
			}
		}
	}
	return nil
}

// addRelatives adds what is below Parent and Main, or in Main's session or one of
// Sessions. It returns those that have ended, and any process of which it cannot be
// told any more.
func (t *Tree) addRelatives(found map[int]bool) (ended []int, err error) {
	scan := t.Scan
	if scan == nil {
		if scan, err = NewScan(t.ProcRoot); err != nil {
			return nil, err
		}
	}
	all := scan.all
	ended = slices.Clone(scan.ended)
	root := map[int]bool{}
	if t.Parent != 0 {
		root[t.Parent] = true
	}
	session := t.Session && t.Main != 0
	if main, ok := all[t.Main]; session && ok && main.StartTicks != t.MainStart {
		session = false // the id went to another process: the session has ended
	}
	for changed := true; changed; {
		changed = false
		for pid, p := range all {
			if root[pid] || pid == os.Getpid() {
				continue
			}
			ours := root[p.PPID] || slices.Contains(t.Sessions, p.Session) || session && (pid == t.Main || p.Session == t.Main && p.StartTicks >= t.MainStart)
			if ours {
				root[pid], changed = true, true
				if p.Over() {
					ended = append(ended, pid)
				} else {
					found[pid] = true
				}
			}
		}
	}
	if t.Scan != nil {
		ended = append(ended, t.dropReused(found)...)
	}
	return ended, nil
}

// dropReused drops what has ended since the scan, and ids that are others' by now.
func (t *Tree) dropReused(found map[int]bool) (ended []int) {
	for pid := range found {
		now, err := procfs.ReadStat(t.ProcRoot, pid)
		if err != nil || now.Over() || now.StartTicks != t.Scan.all[pid].StartTicks {
			delete(found, pid)
			ended = append(ended, pid)
		}
	}
	return ended
}
