// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package proctree

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// busyTask is a task in a cgroup whose processes come and go while they are looked
// at.
type busyTask struct {
	t    *testing.T
	tree Tree
}

func newBusyTask(t *testing.T, pids ...int) *busyTask {
	t.Helper()
	b := &busyTask{t: t, tree: Tree{Cgroup: t.TempDir(), ProcRoot: machine(t, nil)}}
	b.lives(pids...)
	b.lists(pids...)
	return b
}

// lists says which processes the cgroup lists.
func (b *busyTask) lists(pids ...int) {
	b.t.Helper()
	var text strings.Builder
	for _, pid := range pids {
		text.WriteString(strconv.Itoa(pid) + "\n")
	}
	if err := os.WriteFile(filepath.Join(b.tree.Cgroup, "cgroup.procs"), []byte(text.String()), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// lives adds processes of one thread each.
func (b *busyTask) lives(pids ...int) {
	b.t.Helper()
	for _, pid := range pids {
		born := machine(b.t, map[int]procfs.Stat{pid: stat('S', 1, 1, 1)})
		name := strconv.Itoa(pid)
		err := errors.Join(os.MkdirAll(filepath.Join(born, name, "task", name), 0o700),
			os.Rename(filepath.Join(born, name), filepath.Join(b.tree.ProcRoot, name)))
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

// ends takes a process away.
func (b *busyTask) ends(pid int) {
	b.t.Helper()
	if err := os.RemoveAll(filepath.Join(b.tree.ProcRoot, strconv.Itoa(pid))); err != nil {
		b.t.Fatal(err)
	}
}

// becomesZombie ends a process whose parent does not wait for it.
func (b *busyTask) becomesZombie(pid int) {
	b.t.Helper()
	b.ends(pid)
	dead := machine(b.t, map[int]procfs.Stat{pid: stat('Z', 1, 1, 1)})
	if err := os.Rename(filepath.Join(dead, strconv.Itoa(pid)), filepath.Join(b.tree.ProcRoot, strconv.Itoa(pid))); err != nil {
		b.t.Fatal(err)
	}
}

const (
	first  = 10_000_001
	second = 10_000_002
	third  = 10_000_003
)

func TestSettle(t *testing.T) {
	for name, c := range map[string]struct {
		look   func(b *busyTask, looks int) (bool, error) // at the first process, so many times before
		looked []int                                      // each look, in order
	}{
		"nothing to do": {func(*busyTask, int) (bool, error) { return false, nil }, []int{first, second}},
		"one is changed": {
			func(_ *busyTask, looks int) (bool, error) { return looks == 0, nil },
			[]int{first, second, first, second},
		},
		"one ends and leaves another": {func(b *busyTask, looks int) (bool, error) {
			if looks == 0 {
				b.ends(second)
				b.lives(third)
				b.lists(first, third)
			}
			return false, nil
		}, []int{first, first, third}},
		"one ends that was looked at before": {func(b *busyTask, looks int) (bool, error) {
			if looks == 1 {
				b.ends(second)
			}
			return looks == 0, nil
		}, []int{first, second, first}},
		"one is a zombie from now on": {func(b *busyTask, looks int) (bool, error) {
			if looks == 0 {
				b.becomesZombie(second)
			}
			return false, nil
		}, []int{first, first}},
		"the one looked at ends": {func(b *busyTask, looks int) (bool, error) {
			if looks == 0 {
				b.ends(first)
				b.lists(second)
			}
			return false, syscall.ESRCH
		}, []int{first, second, second}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBusyTask(t, first, second)
			var looked []int
			looks := 0
			settled, err := b.tree.settle(func(tid int) (bool, error) {
				looked = append(looked, tid)
				if tid != first {
					return false, nil
				}
				looks++
				return c.look(b, looks-1)
			})
			if err != nil || !settled || !slices.Equal(looked, c.looked) {
				t.Errorf("settled %v, %v; looked at %v, want %v", settled, err, looked, c.looked)
			}
		})
	}
}

// A task that is never still is looked at often, not for ever.
func TestSettle_Bounded(t *testing.T) {
	for name, c := range map[string]struct {
		changed bool
		settled bool
		passes  int
	}{
		"there always is something to change":    {true, false, maxPasses},
		"there always is somebody who has ended": {false, true, quietPasses},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBusyTask(t, first)
			b.lists(first, second) // the other one does not live any more
			passes := 0
			settled, err := b.tree.settle(func(int) (bool, error) {
				passes++
				b.lists(first, second+passes)
				return c.changed, nil
			})
			if err != nil || settled != c.settled || passes != c.passes {
				t.Errorf("settled %v after %d passes, %v", settled, passes, err)
			}
		})
	}
}

func TestSettle_ErrorEndsIt(t *testing.T) {
	b := newBusyTask(t, first, second)
	_, err := b.tree.settle(func(int) (bool, error) { return false, syscall.EPERM })
	if !errors.Is(err, syscall.EPERM) {
		t.Errorf("got %v", err)
	}
}

// A process that ends while its threads are being listed is none to fail of.
func TestHasEnded(t *testing.T) {
	for err, want := range map[error]bool{
		os.ErrNotExist: true, syscall.ENOENT: true, syscall.ESRCH: true, &os.PathError{Op: "open", Err: syscall.ESRCH}: true,
		syscall.EACCES: false,
	} {
		if hasEnded(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}
