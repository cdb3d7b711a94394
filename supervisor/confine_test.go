// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/affinity"
)

// A task without cores of its own is kept on some, and the pid file tells none.
func TestConfine(t *testing.T) {
	cpus := someCPUs(t, 2)
	all, err := affinity.Get(0)
	if err != nil {
		t.Fatal(err)
	}
	cgroupKinds(t, func(t *testing.T) *task { return shell(t, "sleep 1000 & sleep 1000 & echo up; wait") }, func(t *testing.T, k *task) {
		if k.spec.Cgroups.Mode == CgroupV1 {
			k.spec.Cgroups.CPUs = all.String() // as wide as its parent
		}
		p := k.start()
		k.says("up")
		check := func(want ...cpuset.Set) {
			t.Helper()
			threads, err := tree(t, p).Threads()
			if err != nil || len(threads) != 3 {
				t.Fatalf("threads %v, %v", threads, err)
			}
			for i, th := range threads {
				if w := want[min(i, len(want)-1)]; th.CPUs != w {
					t.Errorf("thread %+v, want %v", th, w)
				}
			}
			if r, err := p.Record(); err != nil || r.Cores == nil || len(r.Cores) > 0 {
				t.Errorf("pid file %+v, %v", r, err)
			}
		}
		confine := func(was, cpus cpuset.Set) {
			t.Helper()
			if err := p.Confine(was, cpus); err != nil {
				t.Fatal(err)
			}
		}
		first, second, none := cpuset.Of(cpus[0]), cpuset.Of(cpus[1]), cpuset.Set{}
		both := first.Union(second)
		confine(none, first)
		check(first)
		confine(first, both)
		check(both)
		// One binds itself to one of the two, as a rank does, and stays there ...
		threads, err := tree(t, p).Threads()
		if err != nil {
			t.Fatal(err)
		}
		if err := affinity.Bind(threads[2].TID, second); err != nil {
			t.Fatal(err)
		}
		confine(both, both)
		check(both, both, second)
		confine(both, none)
		check(all, all, second)
		// ... until that one is no longer to be had.
		confine(none, first)
		check(first)
		confine(none, none)
		check(all)
	})
}

func TestConfineToCPUsThatAreNotThere(t *testing.T) {
	k := shell(t, "sleep 1000 & echo up; wait")
	p := k.start()
	k.says("up")
	before, err := tree(t, p).Threads()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Confine(cpuset.Set{}, cpuset.Of(2000)); err != nil {
		t.Errorf("got %v", err)
	}
	if after, err := tree(t, p).Threads(); err != nil || !slices.EqualFunc(before, after, func(a, b Thread) bool { return a.CPUs == b.CPUs }) {
		t.Errorf("%v became %v (%v)", before, after, err)
	}
}

// Where a task has a cpuset of its own it is the lease's while there is one. A
// cgroup whose cpuset controller was not handed down has no such file, and affinity
// does it alone.
func TestBindAndTheLeaf(t *testing.T) {
	cpu := someCPUs(t, 1)
	for name, c := range map[string]struct {
		mode              CgroupMode
		files, parent     map[string]string
		bound, unconfined string // cpuset.cpus
	}{
		"v2":                          {CgroupV2, map[string]string{"cpuset.cpus": "\n"}, nil, cpuList(cpu), ""},
		"v2 without the controller":   {CgroupV2, nil, nil, "", ""},
		"v1":                          {CgroupV1, map[string]string{"cpuset.cpus": "7\n"}, map[string]string{"cpuset.cpus": "0-7\n"}, cpuList(cpu), "0-7"},
		"v2, the value there already": {CgroupV2, map[string]string{"cpuset.cpus": cpuList(cpu) + "\n"}, nil, cpuList(cpu), ""},
	} {
		t.Run(name, func(t *testing.T) {
			k := newTask(t, "/bin/sleep", "1000")
			p := k.start()
			dir := leaf(t, c.files)
			for file, content := range c.parent {
				if err := os.WriteFile(filepath.Join(filepath.Dir(dir), file), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			tr := tree(t, p)
			tr.cgroups.Mode, tr.cgroups.LeafCpuset = c.mode, dir
			if err := tr.Bind(cpuset.Of(cpu...)); err != nil {
				t.Fatal(err)
			}
			if got := files(t, dir); got["cpuset.cpus"] != c.bound || len(got) != len(c.files) {
				t.Errorf("bound: %v", got)
			}
			if threads, err := tr.Threads(); err != nil || len(threads) != 1 || threads[0].CPUs != cpuset.Of(cpu...) {
				t.Errorf("threads %v, %v", threads, err)
			}
			if err := tr.Confine(cpuset.Set{}, cpuset.Set{}); err != nil {
				t.Fatal(err)
			}
			if got := files(t, dir); got["cpuset.cpus"] != c.unconfined || len(got) != len(c.files) {
				t.Errorf("confined: %v", got)
			}
		})
	}
}
