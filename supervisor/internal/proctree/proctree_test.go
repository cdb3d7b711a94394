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
)

// machine writes a /proc of processes and returns its root.
func machine(t *testing.T, processes map[int]process) string {
	t.Helper()
	root := t.TempDir()
	for pid, p := range processes {
		dir := filepath.Join(root, strconv.Itoa(pid))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		stat := fmt.Sprintf("%d (a) b (c)) %c %d %d %d 0 -1 0 1 1 1 1 1 1 1 1 20 0 1 0 %d 1 1\n", pid, p.state, p.ppid, pid, p.session, p.start)
		if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(stat), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "uptime"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return root
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
	all := map[int]process{
		1:          {'S', 0, 1, 1},
		supervisor: {'S', 1, supervisor, 100},
		solver:     {'S', supervisor, solver, 101},
		child:      {'S', solver, solver, 102},
		grandchild: {'D', child, grandchild, 103},
		reparented: {'S', 1, solver, 104},
		stranger:   {'S', 1, stranger, 105},
		zombie:     {'Z', solver, solver, 106},
	}
	without := func(pids ...int) map[int]process {
		m := map[int]process{}
		for pid, p := range all {
			if !slices.Contains(pids, pid) {
				m[pid] = p
			}
		}
		return m
	}
	reused := without(solver)
	reused[solver] = process{'S', 1, solver, 999}
	cases := map[string]struct {
		processes map[int]process
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
	tree := Tree{Cgroup: dir, ProcRoot: machine(t, map[int]process{
		solver: {'S', 1, 1, 1}, child: {'R', 1, 1, 1}, grandchild: {'S', 1, 1, 1}, zombie: {'Z', 1, 1, 1}, stranger: {'S', 1, 1, 1},
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

func FuzzParseStat(f *testing.F) {
	f.Add("7 (ls) Z 9 (dyna) S 1 7 7 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 8123456 1000")
	f.Add("")
	f.Add(")")
	f.Fuzz(func(t *testing.T, text string) { parseStat(text) })
}

func TestFormatCPUs(t *testing.T) {
	for want, cpus := range map[string][]int{
		"": nil, "3": {3}, "0-3": {3, 1, 0, 2}, "0,2,4": {4, 2, 0}, "0-1,8-9,63-64": {63, 64, 0, 1, 9, 8, 8},
	} {
		if got := FormatCPUs(cpus); got != want {
			t.Errorf("FormatCPUs(%v) = %q, want %q", cpus, got, want)
		}
	}
}

func TestMask(t *testing.T) {
	cpus := []int{0, 63, 64, 1023, 8191}
	m, err := maskOf(cpus)
	if err != nil || !slices.Equal(m.cpus(), cpus) {
		t.Errorf("got %v, %v", m.cpus(), err)
	}
	for _, c := range []int{-1, 8192} {
		if _, err := maskOf([]int{c}); err == nil {
			t.Errorf("CPU %d accepted", c)
		}
	}
}

// What a record says of the main process may be forged; its cgroup is not.
func TestSignalMain_OnlyInTheTasksCgroup(t *testing.T) {
	cmd := exec.Command("sleep", "3600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	p, err := readProcess("/proc", cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	cgroup := t.TempDir()
	procs := filepath.Join(cgroup, "cgroup.procs")
	tree := Tree{ProcRoot: "/proc", Cgroup: cgroup, Main: cmd.Process.Pid, MainStart: p.start}
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
