// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// move binds the live solver to its new lease and says why.
func (t *task) move(lease allocator.Lease, old []int, why string) {
	if err := t.rebind(); err != nil {
		t.logger.Error("cannot move the solver", "cores", lease.CPUs.String(), "error", err)
		t.say(fmt.Sprintf("Could not move from cores %s to %s: %v", cpuList(old), lease.CPUs, err))
		return
	}
	t.say(fmt.Sprintf("Moved from cores %s to %s: %s", cpuList(old), lease.CPUs, why))
}

// rebind has the solver run where the books say: on its lease, or, where it has
// none, beside everybody else's. Whoever changes the books calls it afterwards. The
// books are read in here, one caller at a time, so that the last change counts
// whoever comes last.
func (t *task) rebind() error {
	t.placing.Lock()
	defer t.placing.Unlock()
	lease, leased := t.cores.alloc.Lease(t.id.String())
	switch {
	case t.released:
		return nil
	case !leased:
		return t.roam()
	case lease.Displaced:
		return nil // it is moved by whoever displaced it
	}
	return t.bind(lease)
}

// bind moves every thread of the task to its lease, after the pid file says so.
// Memory follows. The caller holds t.placing.
func (t *task) bind(lease allocator.Lease) error {
	if err := t.process().Bind(lease.CPUs); err != nil {
		return err
	}
	before := t.setCPUs(lease.CPUs.Slice())
	t.roams, t.confined = cpuset.Set{}, false
	if len(before) == 0 || !slices.Equal(t.cores.nodes(cpuset.Of(before...)), t.cores.nodes(lease.CPUs)) {
		t.memoryFollows()
	}
	return nil
}

// roam keeps a task without a lease off the cores that others have leased or
// that Nomad has reserved, as long as any other is left. The caller holds t.placing.
func (t *task) roam() error {
	where := t.cores.unleased()
	if t.confined && where == t.roams && where.IsEmpty() {
		return nil // it runs everywhere already
	}
	if err := t.process().Confine(t.roams, where); err != nil {
		return err
	}
	t.roams, t.confined = where, true
	if before := t.setCPUs(nil); len(before) > 0 {
		t.memoryFollows()
	}
	return nil
}

func (t *task) setCPUs(cpus []int) (before []int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, t.cpus = t.cpus, cpus
	return before
}

// releaseCores gives the cores back at the task's end; nobody binds it any more.
func (t *task) releaseCores() {
	t.placing.Lock()
	defer t.placing.Unlock()
	t.released = true
	t.cores.release(t.id.String())
}

// shyAway is roam for every task without a lease: leases came or went.
func (d *Driver) shyAway() {
	for _, t := range d.running() {
		if _, leased := d.cores.alloc.Lease(t.id.String()); leased || !t.isClaimed() {
			continue // an unclaimed task's cores may still come with Nomad's handle
		}
		if err := t.rebind(); err != nil && !t.isOver() {
			t.logger.Debug("cannot keep the solver off leased cores", "error", err)
		}
	}
}
