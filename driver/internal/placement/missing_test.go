// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// An operator is told what his tasks go without.
func TestMissingCgroups(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an agent that is not root has no cgroups")
	}
	v1 := []string{"freezer/cgroup.procs=", "cpu/cgroup.procs=", "memory/cgroup.procs=", "cpuset/cgroup.procs="}
	for name, c := range map[string]struct {
		paths   []string
		limited bool
		want    []string // parts of the words
	}{
		"v1":                         {append(v1[:4:4], "pids/cgroup.procs="), true, nil},
		"v1 without pids":            {v1, true, []string{"hierarchy pids"}},
		"v1 without pids or a limit": {v1, false, nil},
		"v1 without a freezer":       {v1[1:], true, []string{"without limits: there is no cgroup v1 hierarchy freezer"}},
		"none at all":                {nil, true, []string{"freezer, cpu, memory, cpuset"}},
		"v2":                         {[]string{"cgroup.controllers=cpuset cpu io memory pids\n"}, true, nil},
		"v2, handed down":            {[]string{"cgroup.controllers=cpuset cpu memory pids\n", "nomad.slice/cgroup.subtree_control=cpuset cpu memory pids\n"}, true, nil},
		"v2 without memory":          {[]string{"cgroup.controllers=cpuset cpu pids\n"}, true, []string{"nothing bounds the memory"}},
		"v2, cpuset not handed down": {
			[]string{"cgroup.controllers=cpuset cpu memory pids\n", "nomad.slice/cgroup.subtree_control=cpu memory pids\n"},
			true,
			[]string{"nomad.slice/cgroup.subtree_control does not name the controller cpuset"},
		},
		"v2 without a limit": {[]string{"cgroup.controllers=cpuset cpu memory\n"}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cores := withCgroups(tree(t, c.paths...))
			cores.parents = map[string]bool{cores.cgroups.DefaultParent(): true}
			got := cores.MissingCgroups(c.limited)
			must.Len(t, len(c.want), got)
			for i, part := range c.want {
				must.StrContains(t, got[i], part)
				must.False(t, strings.Contains(got[i], "\n"))
			}
		})
	}
}
