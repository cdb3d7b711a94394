// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package affinity

import (
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// sleeper is a process with one thread.
func sleeper(t *testing.T) (tid int) {
	t.Helper()
	cmd := exec.Command("sleep", "3600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd.Process.Pid
}

func get(t *testing.T, tid int) cpuset.Set {
	t.Helper()
	cpus, err := Get(tid)
	if err != nil {
		t.Fatal(err)
	}
	return cpus
}

func TestSet_IsReadBack(t *testing.T) {
	tid := sleeper(t)
	all := get(t, tid)
	if all != get(t, 0) {
		t.Errorf("%s, but inherited %s", all, get(t, 0))
	}
	last := cpuset.Of(all.Last())
	if err := Bind(tid, last); err != nil {
		t.Fatal(err)
	}
	if got := get(t, tid); got != last {
		t.Errorf("bound to %s, asked %s", got, last)
	}
	if err := Set(tid, cpuset.Range(0, cpuset.MaxCPUs-1)); err != nil {
		t.Fatal(err)
	}
	if got := get(t, tid); !last.SubsetOf(got) || got != all {
		t.Errorf("everywhere is %s, was %s", got, all)
	}
}

func TestBind_SaysWhatTheKernelDidNotGrant(t *testing.T) {
	tid := sleeper(t)
	all := get(t, tid)
	absent := cpuset.Of(cpuset.MaxCPUs - 1)
	if absent.SubsetOf(all) {
		t.Skip("the machine has every CPU there can be")
	}
	for name, c := range map[string]struct {
		cpus cpuset.Set
		want string
	}{
		"none of them":    {absent, "none of them is online and in the task's cpuset"},
		"some of them":    {all.Union(absent), "the kernel allows only " + all.String()},
		"no CPU whatever": {cpuset.Set{}, "none of them"},
	} {
		if err := Bind(tid, c.cpus); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGet_OfAThreadThatHasEnded(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := Get(cmd.Process.Pid); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("get: %v", err)
	}
	if err := Set(cmd.Process.Pid, cpuset.Of(0)); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("set: %v", err)
	}
}
