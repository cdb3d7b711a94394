// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"fmt"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
)

// BenchmarkAllocateRelease is what a caller pays: the decision, its reason in
// words, and the bookkeeping.
func BenchmarkAllocateRelease(b *testing.B) {
	for _, d := range []struct {
		cpus, ask int
		shape     topologytest.Shape
	}{
		{32, 8, topologytest.Of(1, 1, 2, 8, 2)},
		{128, 16, topologytest.Of(1, 2, 4, 8, 2)},
		{512, 64, topologytest.Of(2, 4, 4, 8, 2)},
		{1024, 64, topologytest.Of(4, 4, 4, 8, 2)},
	} {
		b.Run(fmt.Sprintf("%d_CPUs_ask_%d", d.cpus, d.ask), func(b *testing.B) {
			topo := d.shape.Topology()
			a := New(topo, topo.Online, Options{})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Allocate("job", d.ask); err != nil {
					b.Fatal(err)
				}
				a.Release("job")
			}
		})
	}
}
