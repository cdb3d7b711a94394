// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/nomadcgroup"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// driftWatch is what is remembered of a task's drift from one look to the next.
type driftWatch struct {
	said     damper
	narrowed cpuset.Set // where all threads were crowded at the last look
	withheld cpuset.Set // cores of the lease that a cpuset withheld at the last look
}

// checkDrift compares where the kernel lets the task run with its lease, repairs
// what somebody else changed, and reports it.
func (t *task) checkDrift() {
	t.placing.Lock()
	defer t.placing.Unlock()
	lease, ok := t.cores.alloc.Lease(t.id.String())
	if !ok || lease.Displaced || t.released {
		return
	}
	found := t.findDrift(lease)
	if len(found) == 0 {
		t.reportWithheld(lease.CPUs, t.withheld(lease.CPUs))
		return
	}
	withheld := t.withheld(lease.CPUs) // before the repair fails of it
	if err := t.repair(lease); err != nil {
		t.logger.Debug("cannot bind the solver again", "error", err)
		if withheld.IsEmpty() {
			t.sayDrift(fmt.Sprintf("%s; it could not be put right: %v", strings.Join(found, "; "), err))
			return
		}
		t.reportWithheld(lease.CPUs, withheld)
		return
	}
	t.sayDrift(strings.Join(found, "; "))
}

// findDrift says in words what is not as the lease wants it and can be repaired.
func (t *task) findDrift(lease allocator.Lease) (found []string) {
	threads := t.threads()
	if len(threads) == 0 {
		return nil // about to be launched, or it has just ended
	}
	if words := t.strayed(threads, lease.CPUs); words != "" {
		found = append(found, words)
	}
	if is, ok := t.leafCPUs(); ok && is != lease.CPUs {
		found = append(found, fmt.Sprintf("The task's cpuset was changed from outside to %s; set to cores %s again", orDefault(is.String(), "nothing"), lease.CPUs))
	}
	if is, want := t.strayedMems(lease.CPUs); is != want {
		found = append(found, fmt.Sprintf("The task's memory nodes were changed from outside to %s; set to %s again", orDefault(is.String(), "nothing"), want))
	}
	return found
}

func (t *task) repair(lease allocator.Lease) error {
	is, want := t.strayedMems(lease.CPUs)
	if err := t.bind(lease); err != nil {
		return err
	}
	if is != want {
		t.memoryFollows()
	}
	return nil
}

func (t *task) threads() []supervisor.Thread {
	tree, err := t.process().Tree()
	if err != nil {
		return nil
	}
	threads, err := tree.Threads()
	if err != nil {
		return nil
	}
	return threads
}

// strayed compares every thread's affinity with the lease. A thread may be
// bound more tightly than its task: MPI ranks and OpenMP threads are. But a solver
// that has all its threads, and all of them, launcher included, crowd on half of its
// cores or fewer, was put there by somebody else.
func (t *task) strayed(threads []supervisor.Thread, lease cpuset.Set) (words string) {
	var strayed, on cpuset.Set
	for _, thread := range threads {
		on = on.Union(thread.CPUs)
		if !thread.CPUs.SubsetOf(lease) {
			strayed = strayed.Union(thread.CPUs)
		}
	}
	crowded := cpuset.Set{}
	if asked := t.details.CoresAsked; len(threads) >= asked && 2*on.Len() <= min(asked, lease.Len()) {
		crowded = on
	}
	before := t.drift.narrowed
	t.drift.narrowed = crowded
	switch {
	case !strayed.IsEmpty():
		return fmt.Sprintf("Affinity was changed from outside to cores %s; bound to cores %s again", strayed, lease)
	case !crowded.IsEmpty() && crowded == before:
		// Twice in a row: while an OpenMP runtime starts, threads that it is about to
		// bind may for an instant all be where the first one is.
		return fmt.Sprintf("Affinity was narrowed from outside to cores %s; bound to cores %s again", crowded, lease)
	}
	return ""
}

// leafCPUs reads the cpuset that is the task's own; false without one, and where
// the cgroup has no cpuset controller.
func (t *task) leafCPUs() (cpuset.Set, bool) {
	if t.spec == nil || t.spec.Cgroups.LeafCpuset == "" {
		return cpuset.Set{}, false
	}
	path := filepath.Join(t.spec.Cgroups.LeafCpuset, "cpuset.cpus")
	if _, err := os.Stat(path); err != nil {
		return cpuset.Set{}, false
	}
	return nomadcgroup.ReadList(path), true
}

// withheld returns the cores of the lease that a cpuset does not let the task
// have which is not the task's own: the share cpuset, or one above.
func (t *task) withheld(lease cpuset.Set) cpuset.Set {
	if t.spec == nil {
		return cpuset.Set{}
	}
	allowed := allowedCPUs(&t.spec.Cgroups)
	if allowed.IsEmpty() {
		return allowed // they do not tell
	}
	return lease.Difference(allowed)
}

// reportWithheld tells of cores that a cpuset withholds at the second look in a
// row: Nomad narrows its cpusets just before the driver learns of a reservation and
// moves the task.
func (t *task) reportWithheld(lease, withheld cpuset.Set) {
	before := t.drift.withheld
	t.drift.withheld = withheld
	if !withheld.IsEmpty() && withheld == before {
		t.sayDrift(fmt.Sprintf("Cores %s are withheld from the task, which has %s, by the cpuset of cgroup %s: widen it there, it is Nomad's", withheld, lease, outerCpuset(&t.spec.Cgroups)))
	}
}

// sayDrift reports, but not for ever when somebody goes on undoing the repairs.
func (t *task) sayDrift(words string) {
	missed, ok := t.drift.said.pass(time.Now())
	if !ok {
		t.logger.Debug("drift", "what", words)
		return
	}
	if missed > 0 {
		words += fmt.Sprintf(" (and %d times before that were not told)", missed)
	}
	t.say(words)
}

// A damper lets the first few of a row of events through and then fewer and
// fewer, until there has been peace for a while.
type damper struct {
	passed int
	next   time.Time
	missed int
}

const (
	damperBurst = 3
	damperPause = time.Minute // after the burst; doubles with each event
	damperMost  = time.Hour
	damperPeace = 10 * time.Minute
)

// pass tells whether an event is to be told, and how many since the last one were
// not.
func (d *damper) pass(now time.Time) (missed int, ok bool) {
	if d.passed > 0 && now.Sub(d.next) > damperPeace {
		*d = damper{}
	}
	if d.passed >= damperBurst && now.Before(d.next) {
		d.missed++
		return 0, false
	}
	missed = d.missed
	d.missed = 0
	d.passed++
	d.next = now
	if over := d.passed - damperBurst; over >= 0 {
		d.next = now.Add(min(damperPause<<min(over, 10), damperMost))
	}
	return missed, true
}
