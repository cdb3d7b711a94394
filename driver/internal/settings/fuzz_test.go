// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/helper/pluginutils/hclspecutils"
	"github.com/hashicorp/nomad/helper/pluginutils/hclutils"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"
)

// decodeBlock takes a config block the way Nomad does: HCL that became JSON,
// then the schema, then msgpack. false: Nomad itself refuses it.
func decodeBlock(data []byte, schema *hclspec.Spec, into any) bool {
	var block any
	if json.Unmarshal(data, &block) != nil {
		return false
	}
	spec, diags := hclspecutils.Convert(schema)
	if diags.HasErrors() {
		return false
	}
	value, _, errs := hclutils.ParseHclInterface(block, spec, nil)
	if len(errs) > 0 {
		return false
	}
	var cfg drivers.TaskConfig
	return cfg.EncodeDriverConfig(value) == nil && cfg.DecodeDriverConfig(into) == nil
}

func FuzzPluginConfig(f *testing.F) {
	for _, seed := range []string{
		`{}`,
		`{"state_dir":"/srv/x","cores":[{"usable":"0-3,8","smt":"share","layout":"scatter"}],"allow_command":true}`,
		`{"solver":[{"r14":[{"path":"/opt/r14","parallel":"mpp","mpi":"openmpi","mpirun":"/usr/bin/mpirun","env":[{"A":"b"}]}]}]}`,
		`{"license":[{"type":"network","server":"31010@lic","qrun":"/opt/lstc_qrun"}],"work_roots":["/scratch","/data/../x"]}`,
		`{"denied_host_uids":"0-999,65534","denied_host_gids":"0","max_processes":0,"allow_root":"yes"}`,
		`{"denied_host_uids":"9-0","max_processes":-1,"work_roots":["/","x"],"enabled":false}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var c Config
		if strings.ContainsAny(string(data), "$%") || !decodeBlock(data, Spec, &c) {
			return // a template, which is HCL's to evaluate
		}
		s, err := Parse(c)
		if err != nil {
			return
		}
		// What is valid works.
		if !filepath.IsAbs(s.StateDir) {
			t.Fatalf("state_dir is %q", s.StateDir)
		}
		for _, name := range s.solverNames() {
			if solver, ok := s.Solver(name); !ok || solver.Validate() != nil {
				t.Fatalf("solver %q is %+v", name, solver)
			}
		}
		for _, root := range s.WorkRoots {
			if s.WorkRoot(filepath.Join(root, "x")) == "" {
				t.Fatalf("nothing is below work root %q", root)
			}
		}
	})
}

func FuzzTaskConfig(f *testing.F) {
	for _, seed := range []string{
		`{"solver":"r14","input":"main.k"}`,
		`{"solver":"r14","input":"main.k","work_dir":"/scratch/a/../b","ncpu":-8,"memory":"20m","jobid":"x","args":["d=nodump"]}`,
		`{"command":"/bin/sh","input":"i","work_dir":"../..","restart":"d3dump01","stop":"swd","shortage":"retry","start_timeout":"0s"}`,
		`{"solver":"r15","input":"","restart":"a/b","stop":"endtime=1","shortage":"?","start_timeout":"-1h"}`,
	} {
		f.Add([]byte(seed))
	}
	s, err := Parse(sound())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var c TaskConfig
		if strings.ContainsAny(string(data), "$%") || !decodeBlock(data, TaskSpec, &c) {
			return
		}
		task, err := s.ParseTask(c)
		if err != nil {
			return
		}
		if task.Solver.Name != "r14" || c.Command != "" {
			t.Fatalf("allowed solver %q, command %q", c.Solver, c.Command)
		}
		switch task.WorkRoot {
		case "":
			if filepath.IsAbs(task.WorkDir) {
				t.Fatalf("allowed work_dir %q", c.WorkDir)
			}
		case "/scratch":
			if !filepath.IsLocal(task.WorkDir) || filepath.Join(task.WorkRoot, task.WorkDir) != filepath.Clean(c.WorkDir) {
				t.Fatalf("work_dir %q became %q", c.WorkDir, task.WorkDir)
			}
		default:
			t.Fatalf("work_dir %q is below %q", c.WorkDir, task.WorkRoot)
		}
		if strings.ContainsRune(task.Restart.Dump, '/') || (task.Restart.Dump != "") != (task.Restart.Mode == RestartFrom) || task.StartTimeout < 0 {
			t.Fatalf("allowed %+v", task)
		}
		if task.Stop != nil && !task.Stop.Terminates {
			t.Fatalf("allowed stop %q", c.Stop)
		}
	})
}

func FuzzParseIDRanges(f *testing.F) {
	for _, seed := range []string{"", "0", "0-999,65534", "9-0", "-", ",,1,", " 1 - 2 ", "4294967295", "4294967296", "+1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		parsed, err := ParseIDRanges(list)
		if err != nil {
			return
		}
		for _, ids := range parsed.ranges {
			if ids.first < 0 || ids.first > ids.last || !parsed.Contains(ids.first) || !parsed.Contains(ids.last) {
				t.Fatalf("%q gives %v", list, parsed.ranges)
			}
		}
		if strings.ContainsAny(list, "0123456789") != (len(parsed.ranges) > 0) || parsed.String() != list {
			t.Fatalf("%q gives %v", list, parsed.ranges)
		}
	})
}
