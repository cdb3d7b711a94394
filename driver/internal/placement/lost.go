// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"fmt"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// Why a run cannot have cores any more, for the event.
const (
	whyReserved = "reserved by Nomad for another task"
	whyOffline  = "offline"
	whyUsable   = "no longer in cores.usable"
	whyNomad    = "no longer Nomad's to use"
	whyWithheld = "withheld by the agent's own affinity, or isolcpus"
	whyTaken    = "taken while the driver was away"
	whyAny      = "reserved by Nomad for another task, or gone offline" // it has passed since
)

// whyLost says why a run cannot have cores that it had, by what the machine, the
// settings and Nomad say now; otherwise where none of them tells.
func (c *Cores) whyLost(lost cpuset.Set, otherwise string) string {
	if lost.IsEmpty() {
		return ""
	}
	usable, nomad := c.settings.Usable, lost
	if usable.IsEmpty() {
		usable = lost
	}
	if c.settings.Nomad != nil {
		nomad = *c.settings.Nomad
	}
	left := lost
	var told []string
	tell := func(why string, which cpuset.Set) {
		if which = which.Intersect(left); which.IsEmpty() {
			return
		}
		left = left.Difference(which)
		if which != lost {
			why = fmt.Sprintf("%s: %s", which, why)
		}
		told = append(told, why)
	}
	tell(whyOffline, lost.Difference(c.alloc.Topology().Online))
	tell(whyUsable, lost.Difference(usable))
	tell(whyNomad, lost.Difference(nomad))
	tell(whyWithheld, lost.Difference(c.alloc.Managed()))
	tell(whyReserved, c.reserved())
	tell(otherwise, left)
	return strings.Join(told, "; ")
}

// reserved are the CPUs that Nomad has reserved for tasks of any driver, with the
// siblings that they take where whole cores are leased.
func (c *Cores) reserved() cpuset.Set {
	reserved := c.alloc.Unavailable()
	for _, lease := range c.alloc.Leases() {
		if lease.Reserved {
			reserved = reserved.Union(lease.CPUs)
		}
	}
	if c.alloc.Options().SMT != allocator.SMTShare {
		reserved = c.alloc.Topology().CoresOf(reserved)
	}
	return reserved
}
