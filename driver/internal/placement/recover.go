// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"fmt"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Adopt takes over a run that outlived the plugin which started it, and leases to
// it those of the cores that its pid file tells which it can still have. Where the pid
// file cannot be trusted, these are the cores that it was launched on, until the handle
// tells better. Others in the place of those that it cannot have come with Settle, when
// all runs have been adopted: before, they may be those of a run that is yet to be
// adopted.
//
// A run that has no cores according to a trusted pid file loses its affinity in the
// next round of Reevaluate, not here: Nomad waits for the adoption of all runs, and
// the former plugin, if it had time, did it already.
func (b *Binder) Adopt(proc *supervisor.Process, rec pidfile.Record, trusted bool) {
	b.mu.Lock()
	defer b.unlock()
	if b.released {
		return
	}
	b.take(proc, rec)
	if !trusted {
		b.setCPUs(b.spec.CPUs)
	}
	b.settled = trusted
	wanted := cpuset.Of(b.CPUs()...)
	if lease, held := b.cores.alloc.Lease(b.run.Owner); held { // by Hold
		if lease.CPUs == wanted && !lease.Displaced {
			b.cores.alloc.SetPID(b.run.Owner, b.pid)
			return
		}
		b.cores.alloc.Release(b.run.Owner)
	}
	b.claim(wanted)
}

// Expect notes what the driver state tells of a live run whose record cannot be used
// yet. It takes no cores: others, whose records can, may have the better right.
func (b *Binder) Expect(known pidfile.Record) {
	b.mu.Lock()
	defer b.unlock()
	if !b.released {
		b.pid = known.PID
		b.setCPUs(slices.Clone(known.Cores))
	}
}

// Hold keeps from everybody else the cores that the driver state tells of a live run
// whose record cannot be used yet. The run stays where it is; what others have already
// they keep.
func (b *Binder) Hold(known pidfile.Record) {
	b.mu.Lock()
	defer b.unlock()
	if _, held := b.cores.alloc.Lease(b.run.Owner); !b.released && !held {
		b.claim(cpuset.Of(known.Cores...))
	}
}

// Settle gives the adopted runs others for the cores that they can no longer have, and
// moves them; those that get none run without affinity.
func (c *Cores) Settle() { c.moveDisplaced() }

// AttachByPIDFile tells that Nomad has handed over an adopted run whose pid file is
// good: what it says counts.
func (b *Binder) AttachByPIDFile(rec pidfile.Record) {
	b.mu.Lock()
	defer b.unlock()
	if b.released {
		return
	}
	b.settled = true
	if b.pid == 0 { // it was adopted in the middle of its launch
		b.pid = rec.PID
		b.setCPUs(rec.Cores)
		b.cores.alloc.SetPID(b.run.Owner, b.pid)
	}
	b.relocate()
	lease, leased := b.cores.alloc.Lease(b.run.Owner) // it may just have been moved
	switch {
	case leased:
		b.sayRestored(lease.CPUs, fromPIDFile)
		b.repairDrift(&supervisor.Look{})
	case len(b.CPUs()) == 0:
		b.sayTakenUp(true, "Recovered without affinity, as the pid file says")
	default: // and neither its record nor its threads could be changed yet
		lost := cpuset.Of(b.CPUs()...)
		b.sayTakenUp(false, "Recovered without cores of its own: %s, which the pid file tells, %s not to be had", allocator.Name(lost), number(lost, "is", "are"))
	}
}

// AttachByDriverState tells that Nomad has handed over a run whose pid file does
// not tell its cores: what the driver state knows counts. proc are the processes as
// found with it; nil where they could not be found so, which leaves the adopted
// ones. The run is bound also where that is nothing new: the pid file is written
// with it.
func (b *Binder) AttachByDriverState(proc *supervisor.Process, known pidfile.Record) {
	b.mu.Lock()
	defer b.unlock()
	if b.released {
		return
	}
	b.settled = true
	if proc != nil {
		b.take(proc, known)
	}
	b.restoreKnown(cpuset.Of(known.Cores...))
	b.cores.alloc.SetPID(b.run.Owner, b.pid)
	if err := b.rebind(); err != nil {
		b.run.Logger.Error("cannot bind the solver", "error", err)
	}
}

// fromPIDFile is where a run's cores are written that nothing has happened to.
const fromPIDFile = "pid file"

// restoreKnown leases the cores that the driver state knows, in the place of those
// that the run was adopted with. The caller holds mu.
func (b *Binder) restoreKnown(cpus cpuset.Set) {
	const from = "driver state"
	if cpus.IsEmpty() {
		b.relocate()
	}
	lease, leased := b.cores.alloc.Lease(b.run.Owner)
	switch {
	case leased && (cpus.IsEmpty() || cpus == lease.CPUs && !lease.Displaced):
		b.sayRestored(lease.CPUs, from)
		return
	case leased:
		b.cores.alloc.Release(b.run.Owner)
	}
	b.restore(cpus, from)
}

// Amend takes over what the run asked for, where that was not known when it was
// adopted.
func (b *Binder) Amend(asked int, reserved bool, parent string) {
	b.cores.learnParent(parent)
	b.mu.Lock()
	defer b.unlock()
	b.run.Asked = asked
	if b.released || b.run.Reserved || !reserved {
		return
	}
	// They were leased as though the driver had chosen them.
	b.run.Reserved = true
	b.cores.alloc.Release(b.run.Owner)
	b.restore(cpuset.Of(b.CPUs()...), "")
}

// claim leases to a live run those of its cores that it can have. The caller holds mu.
func (b *Binder) claim(wanted cpuset.Set) {
	if wanted.IsEmpty() {
		return
	}
	lease, err := b.cores.alloc.Claim(b.run.Owner, wanted, b.run.Reserved)
	if err != nil {
		b.run.Logger.Error("cannot lease the cores that the run has", "cores", wanted.String(), "error", err)
		return
	}
	b.cores.alloc.SetPID(b.run.Owner, b.pid)
	b.lostBy = b.cores.whyLost(wanted.Difference(lease.CPUs), whyTaken)
}

// restore leases to a live run the cores that it is to have. Where it cannot have them
// it gets others and is moved; where there are none it runs without affinity. from
// says where the wanted cores are written, "" to say nothing of cores that stay the
// same. The caller holds mu.
func (b *Binder) restore(wanted cpuset.Set, from string) {
	b.claim(wanted)
	lease, leased := b.cores.alloc.Lease(b.run.Owner)
	switch {
	case !leased:
	case lease.Displaced:
		b.relocate()
	case from != "":
		b.sayRestored(lease.CPUs, from)
	}
}

func (b *Binder) sayRestored(cpus cpuset.Set, from string) {
	b.sayTakenUp(from == fromPIDFile, "Restored %s from the %s", allocator.Name(cpus), from)
}

// sayTakenUp is say for how another plugin's run was taken up. The caller holds mu.
func (b *Binder) sayTakenUp(asBefore bool, format string, args ...any) {
	b.unsaid = append(b.unsaid, saying{words: fmt.Sprintf(format, args...), takenUp: true, asBefore: asBefore})
}
