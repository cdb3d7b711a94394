// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// tree makes a tree of cgroup folders, and files where a name has a content.
func tree(t *testing.T, paths ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, path := range paths {
		name, content, isFile := strings.Cut(path, "=")
		full := filepath.Join(root, name)
		if !isFile {
			must.NoError(t, os.MkdirAll(full, 0o755))
			continue
		}
		must.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		must.NoError(t, os.WriteFile(full, []byte(content), 0o644))
	}
	return root
}

func TestCgroup_OfATask(t *testing.T) {
	needRoot(t) // v1 is for agents that run as root
	v1 := []string{"freezer/nomad/a.solve", "cpu/nomad/a.solve", "memory/nomad/a.solve", "cpuset/nomad/share", "cpuset/nomad/reserve/a.solve"}
	v2 := []string{"cgroup.controllers=cpu", "nomad.slice/share.slice/a.solve.scope"}
	for name, c := range map[string]struct {
		paths  []string
		path   string // CpusetCgroupPath below the root
		parent string
		want   supervisor.Cgroups // paths below the root
	}{
		"v1 shared": {v1, "cpuset/nomad/share", "nomad", supervisor.Cgroups{
			Mode: supervisor.CgroupV1, Freezer: "freezer/nomad/a.solve", CPU: "cpu/nomad/a.solve", Memory: "memory/nomad/a.solve",
			Join: []string{"freezer/nomad/a.solve", "cpu/nomad/a.solve", "memory/nomad/a.solve", "cpuset/nomad/share"},
		}},
		"v1 reserved": {v1, "cpuset/nomad/reserve/a.solve", "nomad", supervisor.Cgroups{
			Mode: supervisor.CgroupV1, Freezer: "freezer/nomad/a.solve", CPU: "cpu/nomad/a.solve", Memory: "memory/nomad/a.solve",
			Join:       []string{"freezer/nomad/a.solve", "cpu/nomad/a.solve", "memory/nomad/a.solve", "cpuset/nomad/reserve/a.solve"},
			LeafCpuset: "cpuset/nomad/reserve/a.solve",
		}},
		"v1 below a parent with folders": {
			[]string{"freezer/x/y/a.solve", "cpu/x/y/a.solve", "memory/x/y/a.solve", "cpuset/x/y/share"}, "cpuset/x/y/share", "x/y",
			supervisor.Cgroups{
				Mode: supervisor.CgroupV1, Freezer: "freezer/x/y/a.solve", CPU: "cpu/x/y/a.solve", Memory: "memory/x/y/a.solve",
				Join: []string{"freezer/x/y/a.solve", "cpu/x/y/a.solve", "memory/x/y/a.solve", "cpuset/x/y/share"},
			}},
		"v1 with a part missing": {v1[1:], "cpuset/nomad/share", "", supervisor.Cgroups{Mode: supervisor.CgroupNone}},
		"v1 elsewhere":           {append(v1, "other"), "other", "", supervisor.Cgroups{Mode: supervisor.CgroupNone}},
		"v2": {v2, "nomad.slice/share.slice/a.solve.scope", "nomad.slice", supervisor.Cgroups{
			Mode: supervisor.CgroupV2, Join: []string{"nomad.slice/share.slice/a.solve.scope"}, LeafCpuset: "nomad.slice/share.slice/a.solve.scope",
		}},
		"v2 not there":     {v2, "nomad.slice/reserve.slice/a.solve.scope", "", supervisor.Cgroups{Mode: supervisor.CgroupNone}},
		"no cgroup at all": {v1, "", "", supervisor.Cgroups{Mode: supervisor.CgroupNone}},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, c.paths...)
			abs := func(path string) string {
				if path == "" {
					return ""
				}
				return filepath.Join(root, path)
			}
			for i, path := range c.want.Join {
				c.want.Join[i] = abs(path)
			}
			c.want.Freezer, c.want.CPU, c.want.Memory = abs(c.want.Freezer), abs(c.want.CPU), abs(c.want.Memory)
			c.want.LeafCpuset = abs(c.want.LeafCpuset)
			got, parent := newCgroupTree(root).ofTask(&drivers.TaskConfig{AllocID: "a", Name: "solve", Resources: &drivers.Resources{
				LinuxResources: &drivers.LinuxResources{CpusetCgroupPath: abs(c.path)},
			}})
			must.Eq(t, c.want, got)
			must.Eq(t, c.parent, parent)
		})
	}
	got, _ := newCgroupTree(t.TempDir()).ofTask(&drivers.TaskConfig{})
	must.Eq(t, supervisor.CgroupNone, got.Mode)
}

func TestCgroup_Reserved(t *testing.T) {
	for name, c := range map[string]struct {
		paths []string
		want  string
	}{
		"v1":          {[]string{"cpuset/nomad/reserve/cpuset.cpus=4-5,9\n"}, "4-5,9"},
		"v1 none":     {[]string{"cpuset/nomad/reserve/cpuset.cpus=\n"}, ""},
		"v1 nonsense": {[]string{"cpuset/nomad/reserve/cpuset.cpus=many\n"}, ""},
		"v1 no file":  {nil, ""},
		"v2":          {[]string{"cgroup.controllers=", "nomad.slice/reserve.slice/cpuset.cpus=0-1\n"}, "0-1"},
		"v2 no file":  {[]string{"cgroup.controllers="}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cg := newCgroupTree(tree(t, c.paths...))
			must.Eq(t, c.want, cg.reserved(cg.defaultParent()).String())
		})
	}
}

func TestCgroup_Limits(t *testing.T) {
	const mib = 1 << 20
	memory := func(mb, most int64) *drivers.Resources {
		return &drivers.Resources{NomadResources: &structs.AllocatedTaskResources{
			Memory: structs.AllocatedMemoryResources{MemoryMB: mb, MemoryMaxMB: most},
		}}
	}
	for name, c := range map[string]struct {
		resources *drivers.Resources
		want      supervisor.Limits
	}{
		"none":                {nil, supervisor.Limits{}},
		"memory":              {memory(100, 0), supervisor.Limits{MemoryMax: 100 * mib}},
		"memory_max":          {memory(100, 300), supervisor.Limits{MemoryMax: 300 * mib, MemoryLow: 100 * mib}},
		"memory_max no limit": {memory(100, -1), supervisor.Limits{MemoryMax: -1, MemoryLow: 100 * mib}},
		"shares": {&drivers.Resources{LinuxResources: &drivers.LinuxResources{CPUShares: 1024}},
			supervisor.Limits{CPUShares: 1024, CPUWeight: supervisor.CPUWeight(1024)}},
	} {
		t.Run(name, func(t *testing.T) { must.Eq(t, c.want, limits(&drivers.TaskConfig{Resources: c.resources})) })
	}
}

func TestUser(t *testing.T) {
	needRoot(t)
	u, err := taskUser("", &Config{})
	must.NoError(t, err)
	must.Eq(t, "nobody", u.Name)
	must.Positive(t, u.UID)
	byID, err := taskUser(strconv.Itoa(u.UID), &Config{})
	must.NoError(t, err)
	must.Eq(t, u, byID)
	for _, name := range []string{"root", "0"} {
		_, err = taskUser(name, &Config{})
		must.ErrorContains(t, err, "is root, which this node does not allow")
		root, err := taskUser(name, &Config{AllowRoot: true})
		must.NoError(t, err)
		must.Zero(t, root.UID)
	}
	for _, name := range []string{"no-such-user", "4294967290", "-1"} {
		_, err = taskUser(name, &Config{AllowRoot: true})
		must.ErrorContains(t, err, "is not known on this node")
	}
}

func TestUser_OfAnAgentThatIsNotRoot(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	must.NoError(t, err)
	for _, name := range []string{"", "nobody", nobody.Uid} {
		u, err := ownUser(name, uid)
		must.NoError(t, err)
		must.Eq(t, uid, u.UID)
		must.Eq(t, os.Getegid(), u.GID)
	}
	_, err = ownUser("root", uid)
	must.ErrorContains(t, err, "tasks can only run as nobody")
	u, err := ownUser("", 54321) // has no entry
	must.NoError(t, err)
	must.Eq(t, "54321", u.Name)
}

func TestUser_OfTheSolver(t *testing.T) {
	needRoot(t)
	n := newNode(t)
	r := n.start(n.script(`grep -E '^(Uid|Gid|Groups):' /proc/self/status; echo "USER=$USER LOGNAME=$LOGNAME"; echo end; sleep 3600`))
	r.says("end")
	out := r.read("stdout")
	nobody, err := user.Lookup("nobody")
	must.NoError(t, err)
	must.Eq(t, strings.Repeat(nobody.Uid+"\t", 3)+nobody.Uid, statusField(out, "Uid"))
	must.Eq(t, strings.Repeat(nobody.Gid+"\t", 3)+nobody.Gid, statusField(out, "Gid"))
	must.SliceNotContains(t, strings.Fields(statusField(out, "Groups")), "0")
	must.StrContains(t, out, "USER=nobody LOGNAME=nobody")
	info, err := os.Stat(filepath.Join(r.folder, "stdout"))
	must.NoError(t, err)
	must.Eq(t, "-rw-r--r--", info.Mode().String())
}
