// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"fmt"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
)

// BenchmarkStatus_of200Runs is one call of status -json on a node with 200 live runs, each
// with a record, a run folder and 5,000 progress lines: half a megabyte. The operator
// should not wait a second for it.
func BenchmarkStatus_of200Runs(b *testing.B) {
	const runs, lines = 200, 5000
	sysfs := topologytest.Of(2, 1, 16, 8, 1).Sysfs(b)
	dir := nodetest.StateDir(b)
	stdout := nodetest.Solving(lines, 2e-3*lines)
	for i := range runs {
		nodetest.Task{
			Job: fmt.Sprintf("job-%d", i), Alloc: fmt.Sprintf("%08d-1111-2222-3333-444455556666", i), Name: "solve", Cores: []int{i}, Stdout: stdout,
		}.Make(b, dir)
	}
	b.ReportAllocs()
	for b.Loop() {
		r := call(b, "status", "-json", "-state-dir", dir, "-sysfs", sysfs)
		must.Eq(b, exitOK, r.code, must.Sprint(r.errout))
	}
}
