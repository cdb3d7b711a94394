// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"

// Status is the machine and who owns what, as the `status` command prints it.
type Status struct {
	PhysicalCores  int          `json:"physical_cores"`
	LogicalCores   int          `json:"logical_cores"`
	HyperThreading bool         `json:"hyper_threading_enabled"`
	AvailableCores int          `json:"available_cores"` // what Allocate could give out
	Cores          []CoreStatus `json:"cores"`           // one entry for each online CPU
}

// CoreStatus is one online CPU.
type CoreStatus struct {
	Index    int     `json:"index"`  // the kernel's CPU number
	JobID    *string `json:"job_id"` // owner; null where the CPU is free
	PID      *int    `json:"pid"`    // null where the CPU is free or the process not known
	Core     int     `json:"core"`   // physical core
	Package  int     `json:"package"`
	NUMANode int     `json:"numa_node"`
	L3       *int    `json:"l3"`
	Kind     string  `json:"kind"`
	Managed  bool    `json:"managed"`  // the allocator may give it out
	Idle     bool    `json:"idle"`     // an idle sibling: held by a job that does not run on it
	Reserved bool    `json:"reserved"` // reserved for somebody outside the allocator
}

// Status returns a snapshot.
func (a *Allocator) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := Status{
		PhysicalCores: a.topo.PhysicalCores(), LogicalCores: a.topo.LogicalCores(),
		HyperThreading: a.topo.HyperThreading(),
		AvailableCores: a.free.Len(),
		Cores:          []CoreStatus{},
	}
	for _, cpu := range a.topo.CPUs {
		if cpu.Online {
			s.Cores = append(s.Cores, a.coreStatus(cpu))
		}
	}
	return s
}

func (a *Allocator) coreStatus(cpu topology.CPU) CoreStatus {
	row := CoreStatus{
		Index: cpu.Index, Core: cpu.Core, Package: cpu.Package, NUMANode: cpu.NUMANode,
		Kind:    cpu.Kind.String(),
		Managed: a.managed.Contains(cpu.Index), Reserved: a.unavailable.Contains(cpu.Index),
	}
	if cpu.L3 != topology.None {
		row.L3 = &cpu.L3
	}
	for owner, r := range a.leases {
		if !r.held.Contains(cpu.Index) {
			continue
		}
		row.JobID = &owner
		row.Idle = !r.cpus.Contains(cpu.Index)
		if pid := r.pid; pid != 0 {
			row.PID = &pid
		}
	}
	return row
}
