// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package topology

import "encoding/json"

// MarshalJSON writes what the `topology` command prints. An offline CPU's place
// is null, as is the l3 of a CPU without one.
func (t *Topology) MarshalJSON() ([]byte, error) {
	type cpuJSON struct {
		Index    int     `json:"index"`
		Online   bool    `json:"online"`
		Package  *int    `json:"package"`
		Die      *int    `json:"die"`
		NUMANode *int    `json:"numa_node"`
		Core     *int    `json:"core"`
		L3       *int    `json:"l3"`
		Siblings []int   `json:"siblings"`
		Kind     *string `json:"kind"`
	}
	type nodeJSON struct {
		ID        int    `json:"id"`
		CPUs      string `json:"cpus"`
		Distances []int  `json:"distances,omitempty"`
	}
	out := struct {
		Packages       int        `json:"packages"`
		NUMANodes      int        `json:"numa_nodes"`
		PhysicalCores  int        `json:"physical_cores"`
		LogicalCores   int        `json:"logical_cores"`
		HyperThreading bool       `json:"hyper_threading_enabled"`
		Isolated       string     `json:"isolated"`
		NoHzFull       string     `json:"nohz_full"`
		Nodes          []nodeJSON `json:"nodes"`
		CPUs           []cpuJSON  `json:"cpus"`
	}{
		t.Packages(), len(t.Nodes), t.PhysicalCores(), t.LogicalCores(), t.HyperThreading(),
		t.Isolated.String(), t.NoHzFull.String(),
		[]nodeJSON{},
		[]cpuJSON{},
	}
	for _, node := range t.Nodes {
		out.Nodes = append(out.Nodes, nodeJSON{node.ID, node.CPUs.String(), node.Distances})
	}
	for _, c := range t.CPUs {
		row := cpuJSON{Index: c.Index, Online: c.Online, Siblings: c.Siblings.Slice()}
		if c.Online {
			kind := c.Kind.String()
			row.Kind = &kind
			row.Package, row.Die, row.NUMANode = orNull(c.Package), orNull(c.Die), orNull(c.NUMANode)
			row.Core, row.L3 = orNull(c.Core), orNull(c.L3)
		}
		out.CPUs = append(out.CPUs, row)
	}
	return json.Marshal(out)
}

// orNull returns nil for None, so that JSON says null.
func orNull(id int) *int {
	if id == None {
		return nil
	}
	return &id
}
