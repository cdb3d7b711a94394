// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
)

// coresInterval is how often the driver looks at what Nomad reserves, at the
// machine, and at where its solvers run.
const coresInterval = 2 * time.Second

// watchCores keeps what the kernel does in line with the books for as long as
// the driver lives: a reservation or a CPU that goes offline takes cores away, and
// anybody with the rights can change an affinity.
func (d *Driver) watchCores() {
	ticker := time.NewTicker(coresInterval)
	defer ticker.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-ticker.C:
		}
		d.moveAway(d.cores.refresh(), "Nomad reserved the cores for another task, or they went offline")
		for _, t := range d.running() {
			t.checkDrift()
		}
		d.shyAway()
	}
}

func (d *Driver) running() []*task {
	d.mu.Lock()
	defer d.mu.Unlock()
	var live []*task
	for _, t := range d.tasks {
		if !t.isOver() {
			live = append(live, t)
		}
	}
	return live
}

// moveAway gives tasks that lost cores others, or lets them run without
// affinity where there are none.
func (d *Driver) moveAway(displaced []allocator.Lease, why string) {
	for _, lost := range displaced {
		t, err := d.task(lost.Owner)
		if err != nil {
			continue // not started yet: settle sees to it
		}
		old, lease, err := d.cores.move(lost.Owner)
		if err == nil {
			t.move(lease, old.CPUs.Slice(), why)
			continue
		}
		d.cores.release(lost.Owner)
		t.stayUnbound()
		t.say(fmt.Sprintf("Running without affinity: lost cores %s (%s), and %v", old.CPUs, why, err))
	}
}

// settle moves a task that lost cores to a reservation while it was being
// started: until it was in the books there was nobody to move.
func (d *Driver) settle(t *task) {
	if lease, ok := d.cores.alloc.Lease(t.id.String()); ok && lease.Displaced {
		d.moveAway([]allocator.Lease{lease}, "Nomad reserved the cores for another task")
	}
}
