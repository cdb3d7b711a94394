// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

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
		if strings.ContainsAny(string(data), "$%") || !decodeBlock(data, configSpec, &c) {
			return // a template, which is HCL's to evaluate
		}
		if c.Validate() != nil {
			return
		}
		// What is valid works.
		if !filepath.IsAbs(c.StateDir) {
			t.Fatalf("state_dir is %q", c.StateDir)
		}
		for _, name := range c.solverNames() {
			if err := c.solver(name).Validate(); err != nil {
				t.Fatal(err)
			}
		}
		for _, root := range c.WorkRoots {
			if c.workRoot(filepath.Join(root, "x")) == "" {
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
	config := &Config{WorkRoots: []string{"/scratch"}, Solvers: map[string]SolverConfig{"r14": {Path: "/opt/r14"}}}
	f.Fuzz(func(t *testing.T, data []byte) {
		var c TaskConfig
		if strings.ContainsAny(string(data), "$%") || !decodeBlock(data, taskConfigSpec, &c) || c.Validate(config) != nil {
			return
		}
		if c.Command != "" || c.Solver != "r14" {
			t.Fatalf("allowed solver %q, command %q", c.Solver, c.Command)
		}
		if clean := filepath.Clean(c.WorkDir); filepath.IsAbs(clean) && clean != "/scratch" && !strings.HasPrefix(clean, "/scratch/") {
			t.Fatalf("allowed work_dir %q", c.WorkDir)
		}
		if strings.ContainsRune(c.Restart, '/') || c.startTimeout() < 0 {
			t.Fatalf("allowed %+v", c)
		}
	})
}

func FuzzParseIDs(f *testing.F) {
	for _, seed := range []string{"", "0", "0-999,65534", "9-0", "-", ",,1,", " 1 - 2 ", "4294967295", "4294967296", "+1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		ranges, err := parseIDs(list)
		if err != nil {
			return
		}
		for _, r := range ranges {
			if r[0] < 0 || r[0] > r[1] || !ranges.contain(r[0]) || !ranges.contain(r[1]) {
				t.Fatalf("%q gives %v", list, ranges)
			}
		}
		if strings.ContainsAny(list, "0123456789") != (len(ranges) > 0) {
			t.Fatalf("%q gives %v", list, ranges)
		}
	})
}
