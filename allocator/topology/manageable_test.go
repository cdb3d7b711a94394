// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package topology_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
)

func TestManageable_isolatedCPUsOnlyWhereTheyAreNamed(t *testing.T) {
	topo := topologytest.Of(1, 1, 2, 4, 2).Topology()
	topo.Isolated = topo.CoresOf(cpuset.Range(4, 7))
	for _, tc := range []struct {
		name, among, named, want string
	}{
		{"nothing named", "0-15", "", "0-3,8-11"},
		{"isolated ones named", "0-15", "4-7,12-15", "4-7,12-15"},
		{"all named", "0-15", "0-15", "0-15"},
		{"offline ones named", "0-15", "7,99", "7"},
		{"only isolated ones there", "5-6", "", "5-6"},
		{"some of both there", "3-6", "", "3"},
		{"nothing there", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			among, err := cpuset.Parse(tc.among)
			must.NoError(t, err)
			named, err := cpuset.Parse(tc.named)
			must.NoError(t, err)
			must.Eq(t, tc.want, topo.Manageable(among, named).String())
		})
	}
}
