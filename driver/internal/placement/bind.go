// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// moveDisplaced gives the run others for the cores that it has lost, if it has
// been launched.
func (b *Binder) moveDisplaced() {
	b.mu.Lock()
	defer b.unlock()
	if !b.released {
		b.relocate()
	}
}

// relocate moves a run whose lease is displaced, or lets it run without affinity
// where no cores are left. The caller holds mu.
func (b *Binder) relocate() {
	lease, leased := b.cores.alloc.Lease(b.run.Owner)
	if !leased || !lease.Displaced || b.proc == nil {
		return
	}
	why := b.lostBy
	b.lostBy = ""
	old, moved, err := b.cores.alloc.Move(b.run.Owner)
	if why == "" {
		why = b.cores.whyLost(old.CPUs.Difference(lease.CPUs), whyAny)
	}
	if err != nil {
		b.cores.alloc.Release(b.run.Owner)
		b.clearAffinity()
		b.say("Running without affinity: lost %s (%s), and %v", allocator.Name(old.CPUs), why, err)
		return
	}
	b.move(moved, old.CPUs, why)
}

// move binds the run to its new lease and says why. The caller holds mu.
func (b *Binder) move(lease allocator.Lease, old cpuset.Set, why string) {
	if err := b.bind(lease); err != nil {
		b.run.Logger.Error("cannot move the solver", "cores", lease.CPUs.String(), "error", err)
		b.say("Could not move from %s to %s: %v", allocator.Name(old), allocator.Name(lease.CPUs), err)
		return
	}
	b.say("Moved from %s to %s: %s", allocator.Name(old), allocator.Name(lease.CPUs), why)
}

// rebind has the run execute on its lease, or, where it has none, beside everybody
// else's. The caller holds mu.
func (b *Binder) rebind() error {
	lease, leased := b.cores.alloc.Lease(b.run.Owner)
	switch {
	case b.proc == nil:
		return nil
	case !leased:
		return b.confine()
	case lease.Displaced:
		return nil // whoever displaced it has it moved
	}
	return b.bind(lease)
}

// bind moves every thread of the run to its lease, after the pid file says so.
// Memory follows. The caller holds mu.
func (b *Binder) bind(lease allocator.Lease) error {
	beside := b.confined
	b.confined = confinement{} // also where it fails halfway
	if err := b.proc.Bind(lease.CPUs); err != nil {
		return err
	}
	before := cpuset.Of(b.setCPUs(lease.CPUs.Slice())...)
	if before != lease.CPUs {
		b.drift.moved(before.Union(beside.cpus()))
	}
	if !slices.Equal(b.cores.nodes(before), b.cores.nodes(lease.CPUs)) {
		b.followMemory()
	}
	return nil
}

// clearAffinity lifts the affinity of a run that has no cores of its own. The
// caller holds mu.
func (b *Binder) clearAffinity() {
	if b.proc == nil {
		return
	}
	if err := b.confine(); err != nil {
		b.run.Logger.Error("cannot lift the affinity", "error", err)
	}
}

// confine keeps a run without a lease off the cores that others have leased or
// that Nomad has reserved, as long as any other is left. The caller holds mu.
func (b *Binder) confine() error {
	where := b.cores.unleased()
	if b.confined.applied && b.confined.to.IsEmpty() && where.IsEmpty() {
		return nil // it runs everywhere already
	}
	was := b.confined.to
	b.confined = confinement{} // where it fails halfway every thread is confined the next time
	if err := b.proc.Confine(was, where); err != nil {
		return err
	}
	b.confined = confinement{applied: true, to: where}
	if before := b.setCPUs(nil); len(before) > 0 {
		b.followMemory()
	}
	return nil
}

// reconcileUnleased confines the run again if it has no lease, and none to come.
// It does not wait for a run that has one.
func (b *Binder) reconcileUnleased() {
	if _, leased := b.cores.alloc.Lease(b.run.Owner); leased {
		return
	}
	b.mu.Lock()
	defer b.unlock()
	if b.released || !b.settled {
		return
	}
	if err := b.rebind(); err != nil {
		b.run.Logger.Debug("cannot keep the solver off leased cores", "error", err)
	}
}
