// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// What was caught, and what only looks so.
func TestReadReport(t *testing.T) {
	r, err := readReport([]byte(`{"Action":"start","Package":"p"}
{"Action":"run","Test":"TestA"}
{"Action":"output","Test":"TestA/part","Output":"x_test.go:1: wrong\n"}
{"Action":"fail","Test":"TestA/part"}
{"Action":"fail","Test":"TestA"}
{"Action":"pass","Test":"TestB"}
{"Action":"skip","Test":"TestC"}
{"Action":"output","Test":"TestD","Output":"panic: test timed out after 5m0s\n"}
{"Action":"fail","Test":"TestD"}
{"Action":"fail","Package":"p"}
`))
	must.NoError(t, err)
	must.Eq(t, map[string]result{"TestA": failed, "TestB": passed, "TestC": skipped, "TestD": crashed}, r.results)
	must.Eq(t, "does not run", r.results["TestE"].String())

	_, err = readReport([]byte(`{"ImportPath":"p","Action":"build-output","Output":"x.go:1:1: undefined: y\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"fail","Package":"p","FailedBuild":"p"}
`))
	must.ErrorIs(t, err, errDoesNotCompile)
	must.ErrorContains(t, err, "undefined: y")
}

func TestDescendants(t *testing.T) {
	all := []proc.Process{{PID: 9, PPID: 7}, {PID: 1}, {PID: 5, PPID: 1}, {PID: 7, PPID: 5}, {PID: 8, PPID: 1}}
	var pids []int
	for _, p := range descendants(all, 5) {
		pids = append(pids, p.PID)
	}
	must.SliceContainsAll(t, []int{7, 9}, pids)
}
