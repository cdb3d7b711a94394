// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package share

import (
	"testing"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
)

func TestFind(t *testing.T) {
	const host, alloc, index = "NOMAD_HOST_ADDR_launch", "NOMAD_ADDR_launch", "NOMAD_ALLOC_INDEX"
	for name, c := range map[string]struct {
		nodes, first int
		folder       string
		env          map[string]string
		want         int
		err          string
	}{
		"one node has no share":        {nodes: 1},
		"the leading node":             {nodes: 3, env: map[string]string{index: "0", host: "127.0.0.1:9"}},
		"another node":                 {nodes: 3, env: map[string]string{index: "2", host: "127.0.0.1:9"}, want: 2},
		"of a second group":            {nodes: 3, first: 1, env: map[string]string{index: "1", host: "127.0.0.1:9"}, want: 2},
		"the host's own address first": {nodes: 2, env: map[string]string{index: "1", host: "127.0.0.1:9", alloc: "192.0.2.1:9"}, want: 1},
		"Nomad tells no index":         {nodes: 2, env: map[string]string{host: "127.0.0.1:9"}, err: "Nomad does not tell which of them"},
		"more allocations than nodes":  {nodes: 2, first: 1, env: map[string]string{index: "1", host: "127.0.0.1:9"}, err: "must make up nodes"},
		"a folder no launcher passes":  {nodes: 2, folder: "/scratch/a b", env: map[string]string{index: "1", host: "127.0.0.1:9"}, err: "work_dir: "},
		"no port":                      {nodes: 2, env: map[string]string{index: "1"}, err: `: network { port "launch" {} }`},
		"a port without a number":      {nodes: 2, env: map[string]string{index: "1", host: "127.0.0.1"}, err: `the port "launch" of the group has no address that can be used: not an ip:port`},
		"a port elsewhere":             {nodes: 2, env: map[string]string{index: "1", alloc: "192.0.2.1:9"}, err: "leave the group in the host's network"},
	} {
		t.Run(name, func(t *testing.T) {
			job := &settings.TaskSettings{WorkRoot: "/scratch", WorkDir: "run"}
			if c.folder != "" {
				job.WorkRoot, job.WorkDir = c.folder, "."
			}
			job.Nodes, job.FirstNode = c.nodes, c.first
			s, err := Find(job, &drivers.TaskConfig{JobID: "bar", Name: "solve", Env: c.env})
			if c.err != "" {
				must.ErrorContains(t, err, c.err)
				must.Eq(t, Share{}, s)
				return
			}
			must.NoError(t, err)
			must.Eq(t, c.want, s.Index)
			must.Eq(t, c.want > 0, s.Follows())
			must.Eq(t, c.nodes > 1, s.Key != "")
		})
	}
}

// Nothing was given, so there is nothing to say of it.
func TestFind_NoPort(t *testing.T) {
	job := &settings.TaskSettings{WorkRoot: "/scratch", WorkDir: "run", Nodes: 2}
	_, err := Find(job, &drivers.TaskConfig{Env: map[string]string{"NOMAD_ALLOC_INDEX": "0"}})
	must.EqError(t, err, `nodes = 2: the group needs a port by which its nodes find each other: network { port "launch" {} }`)
}

func TestStream_EachNodeHasItsOwn(t *testing.T) {
	must.Eq(t, "stdout", Share{Of: 2}.Stream("stdout"))
	must.Eq(t, "stdout-node1", Share{Of: 2, Index: 1}.Stream("stdout"))
}
