// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"slices"
	"sync"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// Expect has cores left for a start that is on its way to its lease: so many are given
// to no run that waits for cores, until met is called. Such a start may just have ended
// the run that had them. Met may be called again.
func (c *Cores) Expect(cores int) (met func()) {
	c.expect(cores)
	return sync.OnceFunc(func() { c.expect(-cores) })
}

func (c *Cores) expect(cores int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expected += cores
}

// leaseLate gives the runs without a lease the cores that they asked for, if so many
// are free, the oldest run first. One that asks for more than there are holds up none
// that asks for fewer.
func (c *Cores) leaseLate() {
	type waiting struct {
		binder *Binder
		since  time.Time
	}
	var all []waiting
	for _, b := range c.all() {
		if since, waits := b.waitsSince(); waits {
			all = append(all, waiting{b, since})
		}
	}
	slices.SortStableFunc(all, func(x, y waiting) int { return x.since.Compare(y.since) })
	for _, w := range all {
		c.mu.Lock()
		expected := c.expected
		c.mu.Unlock()
		w.binder.leaseLate(expected)
	}
}

// waitsSince reports whether the run lives without cores that it asked for, and since
// when the run is there. It does not wait for a run that has a lease.
func (b *Binder) waitsSince() (time.Time, bool) {
	if _, leased := b.cores.alloc.Lease(b.run.Owner); leased {
		return time.Time{}, false
	}
	b.mu.Lock()
	defer b.unlock()
	return b.run.Began, b.waits()
}

// waits reports whether the run could take cores now. The caller holds mu.
func (b *Binder) waits() bool {
	return !b.released && b.settled && b.proc != nil && b.run.Asked > 0 && !time.Now().Before(b.notBefore)
}

// number is a word as it goes with so many CPUs.
func number(cpus cpuset.Set, one, several string) string {
	if cpus.Len() == 1 {
		return one
	}
	return several
}

// bindAgain is how long a run that could not be bound to cores that are free goes
// without another attempt.
const bindAgain = time.Minute

// leaseLate leases and binds the run to the cores that it asked for, if so many are
// free beside those that others expect.
func (b *Binder) leaseLate(expected int) {
	b.mu.Lock()
	defer b.unlock()
	if !b.waits() {
		return
	}
	lease, err := b.cores.alloc.AllocateSpare(b.run.Owner, b.run.Asked, expected)
	if err != nil {
		return // they are not free, or it has got some meanwhile
	}
	if !b.withheld(lease.CPUs).IsEmpty() {
		b.cores.alloc.Release(b.run.Owner) // Nomad is about to reserve them, or has just given them back
		return
	}
	if err := b.bind(lease); err != nil {
		b.run.Logger.Warn("cannot bind the solver to cores that have become free", "cores", lease.CPUs.String(), "error", err)
		b.cores.alloc.Release(b.run.Owner)
		b.notBefore = time.Now().Add(bindAgain)
		b.clearAffinity()
		return
	}
	b.cores.alloc.SetPID(b.run.Owner, b.pid)
	b.say("Bound to %s: %s become free", allocator.Name(lease.CPUs), number(lease.CPUs, "it has", "they have"))
}
