// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// FuzzOutputName checks that names of outputs and dumps mean what they say.
func FuzzOutputName(f *testing.F) {
	for _, name := range []string{"d3dump01", "d3dump01.0003", "j.7.d3full02", "runrsf", "mes010002", "mes0000", "messag01", "a.d3hsp", "status.out", "d3dump", "mes12"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		out, ok := ParseOutputName(name)
		if !ok {
			must.Eq(t, OutputName{}, out)
			return
		}
		must.True(t, out.Kind != "" && out.Sequence >= 0 && out.Rank >= 0)
		must.True(t, out.JobID == "" || strings.HasPrefix(name, out.JobID+"."), must.Sprint(name))
	})
}

func TestParseOutputName(t *testing.T) {
	for name, want := range map[string]OutputName{
		"messag": {Kind: KindMessag}, "messag01": {Kind: KindMessag, Sequence: 1}, "job.messag": {JobID: "job", Kind: KindMessag},
		"mes0000": {Kind: KindMessag}, "mes0012": {Kind: KindMessag, Rank: 12}, "mes010000": {Kind: KindMessag, Sequence: 1},
		"a.b.mes020003": {JobID: "a.b", Kind: KindMessag, Sequence: 2, Rank: 3}, "d3hsp": {Kind: KindD3hsp}, "d3hsp01": {Kind: KindD3hsp, Sequence: 1},
		"status.out": {Kind: KindStatus}, "x.status.out": {JobID: "x", Kind: KindStatus}, "d3dump01": {Kind: KindDump},
		"d3dump01.0003": {Kind: KindDump}, "j.d3full01": {JobID: "j", Kind: KindDump}, "runrsf": {Kind: KindDump},
	} {
		got, ok := ParseOutputName(name)
		must.True(t, ok, must.Sprint(name))
		must.Eq(t, want, got, must.Sprint(name))
	}
	for _, name := range []string{"", ".", "message", "mes", "mes1", "mes00000", "d3plot", "d3plot01", "d3hspx", "main.k", "d3dump", "d3dumpxx", "bg_switch"} {
		_, ok := ParseOutputName(name)
		must.False(t, ok, must.Sprint(name))
	}
}
