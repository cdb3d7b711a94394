// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"testing"

	"github.com/shoenig/test/must"
)

func TestReadName(t *testing.T) {
	for name, want := range map[string]struct {
		parallel  Parallel
		precision Precision
	}{
		"ls-dyna_smp_d_R13_1_1_x64_centos79_ifort190":        {SMP, Double},
		"ls-dyna_mpp_s_R14.1_x64_centos79_ifort190_openmpi4": {MPP, Single},
		"ls-dyna_hyb_d_R15_openmpi":                          {Hybrid, Double},
		"LS-DYNA_SMP_S_R12":                                  {SMP, Single},
		"lsdyna_dp.exe":                                      {"", Double},
		"lsdyna_sp":                                          {"", Single},
		"lsdyna_mpp_dp":                                      {MPP, Double},
		"lsdyna":                                             {"", ""},
		"s":                                                  {"", ""},
		"lsdyna-d":                                           {"", ""}, // somebody's own letter
		"mpp971":                                             {"", ""},
		"ls-dyna_smp_R9":                                     {SMP, ""},
		"ls-dyna_mpp_d_R14_1_0_x64_centos79_ifort190_sp_patch2": {MPP, Double},
		"": {"", ""},
	} {
		parallel, precision := readName(name)
		must.Eq(t, want.parallel, parallel, must.Sprint(name))
		must.Eq(t, want.precision, precision, must.Sprint(name))
	}
}

func TestSolver_Doubts(t *testing.T) {
	for name, c := range map[string]struct {
		solver Solver
		want   []string // keys
	}{
		"as the name says":             {Solver{Path: "/opt/ls-dyna_mpp_s_R14", Parallel: MPP, Precision: Single}, nil},
		"the name says nothing":        {Solver{Path: "/opt/lsdyna", Precision: Single}, nil},
		"single by its name":           {Solver{Path: "/opt/ls-dyna_smp_s_R14"}, []string{"precision"}},
		"double by its name":           {Solver{Path: "/opt/lsdyna_dp", Precision: Single}, []string{"precision"}},
		"both":                         {Solver{Path: "/opt/ls-dyna_mpp_s_R14"}, []string{"parallel", "precision"}},
		"the folder's name is no sign": {Solver{Path: "/opt/ls-dyna_mpp_s_R14/lsdyna"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var keys []string
			for _, doubt := range c.solver.Doubts() {
				keys = append(keys, doubt.Key)
				must.StrContains(t, doubt.Text, ": write "+doubt.Key+" = \"")
			}
			must.Eq(t, c.want, keys)
		})
	}
}
