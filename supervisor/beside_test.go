// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"slices"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// What `nomad alloc exec` starts belongs to the task, with cgroups and without:
// it is moved and ended with it.
func TestCommandBesideTheSolver(t *testing.T) {
	both := someCPUs(t, 2)
	cgroupKinds(t, func(t *testing.T) *task { return shell(t, "echo up; sleep 1000") }, func(t *testing.T, k *task) {
		if k.spec.Cgroups.Mode == CgroupV1 {
			k.spec.Cgroups.CPUs = cpuList(both)
		}
		p := k.start()
		k.says("up")
		c, err := p.Command(p.Spec(), ExecOptions{Argv: []string{"/bin/sh", "-c", "sleep 1000 & wait"}, CPUs: both})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		tr := tree(t, p)
		eventually(t, "both shells and their children are found", func() bool {
			pids, err := tr.PIDs()
			return err == nil && slices.Contains(pids, c.Cmd.Process.Pid) && len(pids) == 4
		})
		if err := p.Bind(cpuset.Of(both[1])); err != nil {
			t.Fatal(err)
		}
		threads, err := tr.Threads()
		if err != nil || len(threads) != 4 {
			t.Errorf("threads %v, %v", threads, err)
		}
		for _, th := range threads {
			if th.CPUs != cpuset.Of(both[1]) {
				t.Errorf("thread %+v was not moved", th)
			}
		}
		if err := tr.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if code, err := c.Wait(t.Context()); code != 128+9 || err != nil {
			t.Errorf("the command ended with %d, %v", code, err)
		}
		if left := p.beside.list(); len(left) > 0 {
			t.Errorf("still known: %v", left)
		}
	})
}
