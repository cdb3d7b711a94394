// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"

// nearest picks n free units, those nearest to the given CPUs first.
func (g *grid) nearest(free *bitmap, near cpuset.Set, n int) bitmap {
	picked, _ := g.place(free, n, false)
	return picked
}
