// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"fmt"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// driftWatch is what is remembered of a run's drift from one look to the next.
type driftWatch struct {
	limiter  rateLimiter
	narrowed cpuset.Set // where all threads were crowded at the last look
	withheld cpuset.Set // cores of the lease that a cpuset withheld at the last look
	left     cpuset.Set // cores that the run was moved from
	since    int        // looks since then, up to newbornLooks
	newborn  bool       // what strayed at the last look was born during the move
}

// newbornLooks is for how many looks after a move a thread on the cores before is the
// move's own: the kernel gives a child the affinity that its parent had when it began to
// fork, and on a busy machine that may be long before anybody can see the child.
const newbornLooks = 3

// moved notes that the run was moved from some cores.
func (d *driftWatch) moved(from cpuset.Set) { d.left, d.since = from, 0 }

// checkDrift compares where the kernel lets the run execute with its lease,
// repairs what somebody else changed, and reports it. look is shared by all runs.
func (b *Binder) checkDrift(look *supervisor.Look) {
	b.mu.Lock()
	defer b.unlock()
	if !b.released {
		b.repairDrift(look)
	}
}

// repairDrift is checkDrift for callers that hold mu.
func (b *Binder) repairDrift(look *supervisor.Look) {
	lease, leased := b.cores.alloc.Lease(b.run.Owner)
	if !leased || lease.Displaced || b.proc == nil {
		return
	}
	found := b.findDrift(lease, look)
	if len(found) == 0 {
		b.reportWithheld(lease.CPUs, b.withheld(lease.CPUs))
		return
	}
	withheld := b.withheld(lease.CPUs) // the repair may fail of it
	if err := b.repair(lease); err != nil {
		b.run.Logger.Debug("cannot bind the solver again", "error", err)
		if withheld.IsEmpty() {
			b.reportDrift(fmt.Sprintf("%s; it could not be put right: %v", strings.Join(found, "; "), err))
			return
		}
		b.reportWithheld(lease.CPUs, withheld)
		return
	}
	if b.drift.newborn && len(found) == 1 {
		b.run.Logger.Debug("threads were born while the run was moved", "what", found[0])
		return
	}
	b.reportDrift(strings.Join(found, "; "))
}

// findDrift says in words what is not as the lease wants it and can be repaired.
func (b *Binder) findDrift(lease allocator.Lease, look *supervisor.Look) (found []string) {
	threads := b.threads(look)
	if len(threads) == 0 {
		return nil // about to be launched, or it has just ended
	}
	if words := b.drift.strayed(threads, lease.CPUs, b.run.Asked); words != "" {
		found = append(found, words)
	}
	if is, ok := readLeaf(&b.spec.Cgroups, "cpuset.cpus"); ok && is != lease.CPUs {
		found = append(found, fmt.Sprintf("The task's cpuset was changed from outside to %s; set to %s again", orNothing(is), allocator.Name(lease.CPUs)))
	}
	if is, want := b.strayedNodes(lease.CPUs); is != want {
		found = append(found, fmt.Sprintf("The task's memory nodes were changed from outside to %s; set to %s again", orNothing(is), want))
	}
	return found
}

// orNothing prints what somebody wrote to a cpuset.
func orNothing(set cpuset.Set) string {
	if set.IsEmpty() {
		return "nothing"
	}
	return set.String()
}

func (b *Binder) repair(lease allocator.Lease) error {
	is, want := b.strayedNodes(lease.CPUs)
	if err := b.bind(lease); err != nil {
		return err
	}
	if is != want {
		b.followMemory()
	}
	return nil
}

func (b *Binder) threads(look *supervisor.Look) []supervisor.Thread {
	tree, err := b.proc.TreeIn(look)
	if err != nil {
		return nil
	}
	threads, err := tree.Threads()
	if err != nil {
		return nil
	}
	return threads
}

// strayed compares every thread's affinity with the lease of a run that asked for
// so many cores. A thread may be bound more tightly than its run: MPI ranks and
// OpenMP threads are. But when a solver has all its threads, and all of them,
// launcher included, are crowded on half of its cores or fewer, somebody else has
// put them there.
func (d *driftWatch) strayed(threads []supervisor.Thread, lease cpuset.Set, asked int) (words string) {
	var strayed, on cpuset.Set
	for _, thread := range threads {
		on = on.Union(thread.CPUs)
		if !thread.CPUs.SubsetOf(lease) {
			strayed = strayed.Union(thread.CPUs)
		}
	}
	crowded := cpuset.Set{}
	if len(threads) >= asked && 2*on.Len() <= min(asked, lease.Len()) {
		crowded = on
	}
	before := d.narrowed
	d.narrowed = crowded
	d.newborn = d.since < newbornLooks && !strayed.IsEmpty() && strayed.SubsetOf(lease.Union(d.left))
	d.since = min(d.since+1, newbornLooks)
	switch {
	case !strayed.IsEmpty():
		return fmt.Sprintf("Affinity was changed from outside to %s; bound to %s again", allocator.Name(strayed), allocator.Name(lease))
	case !crowded.IsEmpty() && crowded == before:
		// Twice in a row: while an OpenMP runtime starts, threads that it is about to
		// bind may for an instant all be where the first one is.
		return fmt.Sprintf("Affinity was narrowed from outside to %s; bound to %s again", allocator.Name(crowded), allocator.Name(lease))
	}
	return ""
}

// withheld returns the cores of the lease that a cpuset does not let the run have
// which is not the run's own: the share cpuset, or one above.
func (b *Binder) withheld(lease cpuset.Set) cpuset.Set {
	allowed := allowedCPUs(&b.spec.Cgroups)
	if allowed.IsEmpty() {
		return allowed // they do not tell
	}
	return lease.Difference(allowed)
}

// reportWithheld reports cores that a cpuset withholds, at the second look in a
// row: Nomad narrows its cpusets just before the driver learns of a reservation and
// moves the run.
func (b *Binder) reportWithheld(lease, withheld cpuset.Set) {
	before := b.drift.withheld
	b.drift.withheld = withheld
	if !withheld.IsEmpty() && withheld == before {
		b.reportDrift(fmt.Sprintf("%s %s %s withheld from the task, which has %s, by the cpuset of cgroup %s: widen it there, it is Nomad's",
			number(withheld, "Core", "Cores"), withheld, number(withheld, "is", "are"), lease, outerCpuset(&b.spec.Cgroups)))
	}
}

// reportDrift reports, but not for ever when somebody goes on undoing the repairs.
func (b *Binder) reportDrift(words string) {
	missed, ok := b.drift.limiter.allow(time.Now())
	if !ok {
		b.run.Logger.Debug("drift", "what", words)
		return
	}
	if missed > 0 {
		words += fmt.Sprintf(" (and %d times before that were not told)", missed)
	}
	b.say("%s", words)
}
