// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package proctree

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// Several tasks look at one scan; what has ended or got another's id since is not
// taken for theirs.
func TestTree_InASharedScan(t *testing.T) {
	root := machine(t, map[int]procfs.Stat{
		1:          stat('S', 0, 1, 1),
		supervisor: stat('S', 1, supervisor, 100),
		solver:     stat('S', supervisor, solver, 101),
		child:      stat('S', solver, solver, 102),
		grandchild: stat('S', child, solver, 103),
	})
	var look Shared
	pids := func() []int {
		t.Helper()
		scan, err := look.Get(root)
		if err != nil {
			t.Fatal(err)
		}
		pids, err := (&Tree{ProcRoot: root, Parent: supervisor, Scan: scan}).PIDs()
		if err != nil {
			t.Fatal(err)
		}
		return pids
	}
	if got := pids(); !slices.Equal(got, []int{solver, child, grandchild}) {
		t.Errorf("got %v", got)
	}
	if err := os.RemoveAll(filepath.Join(root, strconv.Itoa(grandchild))); err != nil {
		t.Fatal(err)
	}
	other := machine(t, map[int]procfs.Stat{child: stat('S', 1, child, 999)})
	data, err := os.ReadFile(filepath.Join(other, strconv.Itoa(child), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, strconv.Itoa(child), "stat"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := pids(); !slices.Equal(got, []int{solver}) {
		t.Errorf("got %v after two of them have ended", got)
	}
}

// Fifty tasks without cgroups among 2,000 processes: each looks through /proc, or all
// share one look.
func BenchmarkTick(b *testing.B) {
	const tasks, processes = 50, 2000
	root := b.TempDir()
	for pid := 1; pid <= processes; pid++ {
		parent := 1
		if pid > tasks && pid <= 2*tasks {
			parent = pid - tasks
		}
		if pid == 1 {
			parent = 0
		}
		writeStat(b, root, pid, stat('S', parent, pid, 1))
	}
	tick := func(scan func() *Scan) {
		for pid := 2; pid < tasks+2; pid++ {
			if _, err := (&Tree{ProcRoot: root, Parent: pid, Scan: scan()}).PIDs(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("each", func(b *testing.B) {
		for b.Loop() {
			tick(func() *Scan { return nil })
		}
	})
	b.Run("shared", func(b *testing.B) {
		for b.Loop() {
			var look Shared
			tick(func() *Scan {
				scan, err := look.Get(root)
				if err != nil {
					b.Fatal(err)
				}
				return scan
			})
		}
	})
}
