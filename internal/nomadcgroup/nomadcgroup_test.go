// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package nomadcgroup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

func TestTree_readsWhereNomadWrites(t *testing.T) {
	for name, c := range map[string]struct {
		files            map[string]string
		parent           string // "" for the default
		usable, reserved string
	}{
		"v2": {map[string]string{
			"cgroup.controllers":                    "cpuset\n",
			"nomad.slice/cpuset.cpus":               "0-7\n",
			"nomad.slice/reserve.slice/cpuset.cpus": "2-3\n",
		}, "", "0-7", "2-3"},
		"v1": {map[string]string{
			"cpuset/nomad/cpuset.cpus":         "0-7\n",
			"cpuset/nomad/reserve/cpuset.cpus": "2-3\n",
		}, "", "0-7", "2-3"},
		"another parent": {map[string]string{
			"cpuset/hpc/nomad/reserve/cpuset.cpus": "5\n",
			"cpuset/nomad/reserve/cpuset.cpus":     "2-3\n",
		}, "hpc/nomad", "", "5"},
		"nothing reserved": {map[string]string{"cpuset/nomad/reserve/cpuset.cpus": "\n"}, "", "", ""},
		"nonsense":         {map[string]string{"cpuset/nomad/reserve/cpuset.cpus": "all\n"}, "", "", ""},
		"no cgroups":       {nil, "", "", ""},
		"a parent that leads out": {map[string]string{
			"cpuset/x": "", "secret/reserve/cpuset.cpus": "1\n",
		}, "../secret", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range c.files {
				path = filepath.Join(root, path)
				must.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				must.NoError(t, os.WriteFile(path, []byte(text), 0o644))
			}
			tree := Below(root)
			parent := c.parent
			if parent == "" {
				parent = tree.DefaultParent()
			}
			must.Eq(t, c.usable, tree.Usable(parent).String())
			must.Eq(t, c.reserved, tree.Reserved(parent).String())
		})
	}
}
