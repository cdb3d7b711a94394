// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package proctree

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

func stat(state byte, ppid, session int, start uint64) procfs.Stat {
	return procfs.Stat{State: state, PPID: ppid, Session: session, StartTicks: start}
}

// machine writes a /proc of processes and returns its root.
func machine(t *testing.T, processes map[int]procfs.Stat) string {
	t.Helper()
	root := t.TempDir()
	for pid, p := range processes {
		writeStat(t, root, pid, p)
	}
	if err := os.WriteFile(filepath.Join(root, "uptime"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

func writeStat(t testing.TB, root string, pid int, p procfs.Stat) {
	t.Helper()
	dir := filepath.Join(root, strconv.Itoa(pid))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("%d (a) b (c)) %c %d %d %d 0 -1 0 1 1 1 1 1 1 1 1 20 0 1 0 %d 1 1\n", pid, p.State, p.PPID, pid, p.Session, p.StartTicks)
	if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	supervisor = 10_000_001
	solver     = 10_000_002
	child      = 10_000_003
	grandchild = 10_000_004
	reparented = 10_000_005
	stranger   = 10_000_006
	zombie     = 10_000_007
)

func TestRelatives(t *testing.T) {
	all := map[int]procfs.Stat{
		1:          stat('S', 0, 1, 1),
		supervisor: stat('S', 1, supervisor, 100),
		solver:     stat('S', supervisor, solver, 101),
		child:      stat('S', solver, solver, 102),
		grandchild: stat('D', child, grandchild, 103),
		reparented: stat('S', 1, solver, 104),
		stranger:   stat('S', 1, stranger, 105),
		zombie:     stat('Z', solver, solver, 106),
	}
	without := func(pids ...int) map[int]procfs.Stat {
		m := map[int]procfs.Stat{}
		for pid, p := range all {
			if !slices.Contains(pids, pid) {
				m[pid] = p
			}
		}
		return m
	}
	reused := without(solver)
	reused[solver] = stat('S', 1, solver, 999)
	cases := map[string]struct {
		processes map[int]procfs.Stat
		tree      Tree
		want      []int
	}{
		"below the supervisor":             {all, Tree{Parent: supervisor}, []int{solver, child, grandchild}},
		"with the session":                 {all, Tree{Parent: supervisor, Main: solver, MainStart: 101, Session: true}, []int{solver, child, grandchild, reparented}},
		"without the supervisor":           {without(supervisor), Tree{Main: solver, MainStart: 101, Session: true}, []int{solver, child, grandchild, reparented}},
		"the solver gone, its session not": {without(solver), Tree{Main: solver, MainStart: 101, Session: true}, []int{child, grandchild, reparented}},
		"the solver's id used again":       {reused, Tree{Main: solver, MainStart: 101, Session: true}, []int{}},
		"nothing known":                    {all, Tree{Session: true}, []int{}},
		"a main process later than others": {without(), Tree{Main: solver, MainStart: 101, Session: true}, []int{solver, child, grandchild, reparented}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.tree.ProcRoot = machine(t, c.processes)
			got, err := c.tree.PIDs()
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestCgroupPIDs(t *testing.T) {
	dir := t.TempDir()
	below := filepath.Join(dir, "below")
	if err := os.Mkdir(below, 0o700); err != nil {
		t.Fatal(err)
	}
	for d, text := range map[string]string{dir: "10000002\n10000003\n10000007\n10000099\n0\n", below: "10000004\n10000002\n"} {
		if err := os.WriteFile(filepath.Join(d, "cgroup.procs"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tree := Tree{Cgroup: dir, ProcRoot: machine(t, map[int]procfs.Stat{
		solver: stat('S', 1, 1, 1), child: stat('R', 1, 1, 1), grandchild: stat('S', 1, 1, 1), zombie: stat('Z', 1, 1, 1), stranger: stat('S', 1, 1, 1),
	})}
	got, err := tree.PIDs()
	if err != nil || !slices.Equal(got, []int{solver, child, grandchild}) {
		t.Errorf("got %v, %v", got, err)
	}
	tree.Cgroup = filepath.Join(dir, "gone")
	if got, err := tree.PIDs(); err != nil || len(got) > 0 {
		t.Errorf("a cgroup that is gone: %v, %v", got, err)
	}
}

// What a record says of the main process may be forged; its cgroup is not.
func TestSignalMain_OnlyInTheTasksCgroup(t *testing.T) {
	cmd := exec.Command("sleep", "3600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	p, err := procfs.ReadStat("/proc", cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	cgroup := t.TempDir()
	procs := filepath.Join(cgroup, "cgroup.procs")
	tree := Tree{ProcRoot: "/proc", Cgroup: cgroup, Main: cmd.Process.Pid, MainStart: p.StartTicks}
	for inside, want := range map[string]error{fmt.Sprint(os.Getpid()): os.ErrProcessDone, fmt.Sprint(cmd.Process.Pid): nil} {
		if err := os.WriteFile(procs, []byte(inside+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := tree.SignalMain(0); !errors.Is(err, want) {
			t.Errorf("with %s inside: %v", inside, err)
		}
	}
	cmd.Process.Kill()
}
