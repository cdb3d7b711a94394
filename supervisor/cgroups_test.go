// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// v1 makes the task cgroups of its own in the v1 hierarchies, reserving CPUs if
// given, as Nomad would.
func (k *task) v1(cpus string) {
	k.t.Helper()
	if !asRoot() {
		k.t.Skip("making cgroups needs root")
	}
	name := fmt.Sprintf("lsdyna-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	c := Cgroups{Mode: CgroupV1}
	dirs := map[string]string{}
	for _, controller := range []string{"freezer", "cpu", "memory", "cpuset"} {
		parent := filepath.Join("/sys/fs/cgroup", controller)
		if _, err := os.Stat(filepath.Join(parent, "tasks")); err != nil {
			k.t.Skipf("no cgroup v1 %s hierarchy here", controller)
		}
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			k.t.Fatal(err)
		}
		k.t.Cleanup(func() { removeCgroup(k.t, dir) })
		dirs[controller] = dir
		c.Join = append(c.Join, dir)
	}
	c.Freezer, c.CPU, c.Memory = dirs["freezer"], dirs["cpu"], dirs["memory"]
	c.LeafCpuset, c.CPUs, c.Mems = dirs["cpuset"], cpus, "0"
	k.spec.Cgroups = c
	k.t.Cleanup(k.end) // before the cgroups go
}

// v2 does the same in a v2 hierarchy, which here has no controllers.
func (k *task) v2() {
	k.t.Helper()
	if !asRoot() {
		k.t.Skip("making cgroups needs root")
	}
	for _, root := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
			continue
		}
		dir := filepath.Join(root, fmt.Sprintf("lsdyna-test-%d-%d", os.Getpid(), time.Now().UnixNano()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			k.t.Fatal(err)
		}
		k.t.Cleanup(func() { removeCgroup(k.t, dir) })
		k.spec.Cgroups = Cgroups{Mode: CgroupV2, Join: []string{dir}, LeafCpuset: dir}
		k.t.Cleanup(k.end)
		return
	}
	k.t.Skip("no cgroup v2 hierarchy here")
}

func removeCgroup(t *testing.T, dir string) {
	eventually(t, dir+" is removed", func() bool {
		err := syscall.Rmdir(dir)
		return err == nil || errors.Is(err, os.ErrNotExist)
	})
}

// someCPUs returns n CPUs that this process may use.
func someCPUs(t *testing.T, n int) []int {
	t.Helper()
	out, err := exec.Command("sh", "-c", "grep Cpus_allowed_list /proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	var cpus []int
	_, list, _ := strings.Cut(strings.TrimSpace(string(out)), "\t")
	for part := range strings.SplitSeq(list, ",") {
		from, to, found := strings.Cut(part, "-")
		a, _ := strconv.Atoi(from)
		b := a
		if found {
			b, _ = strconv.Atoi(to)
		}
		for c := a; c <= b; c++ {
			cpus = append(cpus, c)
		}
	}
	if len(cpus) < n {
		t.Skipf("needs %d CPUs, there are %v", n, cpus)
	}
	return cpus[:n]
}
