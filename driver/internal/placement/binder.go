// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Run is what a Binder has to know of a run.
type Run struct {
	Owner    string    // names the run among all others
	Asked    int       // cores that the job asks for; 0: not known
	Reserved bool      // Nomad reserved the run's cores
	Parent   string    // cgroup parent of the run's agent, "" for none: its reservations count from now on
	Began    time.Time // when the run was started; zero: not known, before all others

	// Report makes a task event. It is called without locks, and from several
	// goroutines.
	Report func(words string)
	// TakenUp is Report for what is said when another plugin's run is taken up; as before
	// says that it is where it was, by its pid file: that may be told less often. nil:
	// Report.
	TakenUp func(words string, asBefore bool)
	Logger  hclog.Logger
}

// saying is an event to be reported.
type saying struct {
	words             string
	takenUp, asBefore bool
}

// Binder has one run executed where it should be. It is the only one that changes
// the run's lease and that moves its processes. Its methods may be called from
// several goroutines.
type Binder struct {
	cores *Cores
	cpus  atomic.Pointer[[]int] // what the run is bound to; written under mu

	// mu guards what follows, and one change at a time of where the run executes.
	// The lease is read under it, so that the last change counts whoever makes it.
	mu        sync.Mutex
	run       Run                 // Owner, Report, TakenUp and Logger never change
	granted   allocator.Lease     // as Lease returned it
	proc      *supervisor.Process // nil: not launched yet
	pid       int                 // of the solver, 0: not known
	spec      supervisor.Spec     // zero where the record has none
	settled   bool                // without a lease it has no cores; before, the handle may still bring some
	lostBy    string              // why cores of the lease were lost, where that was told when it was claimed
	confined  confinement
	notBefore time.Time // no late lease before: the last one failed
	drift     driftWatch
	moving    memoryMove
	released  bool     // from now on the owner's lease, if any, is another Binder's
	unsaid    []saying // events to report when mu has been given back
}

// confinement is where a run without a lease is kept.
type confinement struct {
	applied bool
	to      cpuset.Set // empty: everywhere
}

// cpus are where such a run executes; none of one that is not confined.
func (c confinement) cpus() cpuset.Set {
	if c.applied && c.to.IsEmpty() {
		return cpuset.Range(0, cpuset.MaxCPUs-1)
	}
	return c.to
}

// errReleased means that the run's cores have been given back.
var errReleased = errors.New("the run has given its cores back")

// NewBinder makes the Binder of a run that is about to be launched or that was
// found alive. Whoever makes it calls Release.
func (c *Cores) NewBinder(run Run) *Binder {
	c.learnParent(run.Parent)
	b := &Binder{cores: c, run: run}
	b.setCPUs(nil)
	c.register(b)
	return b
}

// Lease takes cores for a run that is to be started: exactly those that Nomad has
// reserved for it, or where there are none as many as it asks for. The error is a
// *allocator.ShortageError or a *allocator.ConflictError where they cannot be had.
// Runs that lose cores to a reservation get others before this one gets any, and
// have been moved when it returns.
func (b *Binder) Lease(reserved cpuset.Set) (allocator.Lease, error) {
	b.cores.readReservations()
	b.cores.moveDisplaced()
	lease, err := b.lease(reserved)
	b.cores.moveDisplaced()
	return lease, err
}

func (b *Binder) lease(reserved cpuset.Set) (lease allocator.Lease, err error) {
	b.mu.Lock()
	defer b.unlock()
	if b.released {
		return lease, errReleased
	}
	b.run.Reserved = !reserved.IsEmpty()
	if b.run.Reserved {
		lease, _, err = b.cores.alloc.Reserve(b.run.Owner, reserved)
	} else {
		lease, err = b.cores.alloc.Allocate(b.run.Owner, b.run.Asked)
	}
	if err == nil {
		b.granted = lease
	}
	return lease, err
}

// Describe says for a task event which cores Lease got.
func (b *Binder) Describe() string {
	b.mu.Lock()
	defer b.unlock()
	return "Allocated " + allocator.Describe(b.granted)
}

// Machine is the machine that the run executes on, and whether the siblings of its CPUs
// are kept idle for it.
func (b *Binder) Machine() (topo *topology.Topology, isolated bool) {
	return b.cores.Topology(), b.cores.alloc.Options().SMT != allocator.SMTShare
}

// LaunchPlacement says where ranks and threads are to be placed, on the cores that
// Lease got; nowhere in particular without.
func (b *Binder) LaunchPlacement() launch.Placement {
	b.mu.Lock()
	defer b.unlock()
	return launchOrder(b.cores.alloc.Topology(), b.granted.CPUs)
}

// PrepareSpec writes into a specification, whose cgroups are set, on which CPUs the
// run is launched and where its memory comes from. Without a lease the CPUs stay as
// they are. It returns what cannot be done about memory, or "".
func (b *Binder) PrepareSpec(spec *supervisor.Spec) (warning string) {
	b.mu.Lock()
	defer b.unlock()
	if cpus := b.granted.CPUs; !cpus.IsEmpty() {
		spec.CPUs = cpus.Slice()
		if spec.Cgroups.LeafCpuset != "" {
			spec.Cgroups.CPUs = cpus.String()
		}
	}
	return b.cores.placeMemory(spec, cpuset.Of(spec.CPUs...))
}

// Attach takes over the processes of a run that was just launched, with its pid
// file. From now on the run is moved where its lease goes. A lease that was
// displaced since Lease is moved now. Runs without a lease, this one and others, are
// kept off the cores of those that have one.
func (b *Binder) Attach(proc *supervisor.Process, rec pidfile.Record) {
	b.attach(proc, rec)
	b.cores.reconcileUnleased()
}

func (b *Binder) attach(proc *supervisor.Process, rec pidfile.Record) {
	b.mu.Lock()
	defer b.unlock()
	if b.released {
		return
	}
	b.settled = true
	b.take(proc, rec)
	b.cores.alloc.SetPID(b.run.Owner, b.pid)
	b.relocate()
}

// take takes over processes with what the pid file says of them.
func (b *Binder) take(proc *supervisor.Process, rec pidfile.Record) {
	b.proc, b.pid = proc, rec.PID
	if spec := proc.Spec(); spec != nil {
		b.spec = *spec
	}
	b.setCPUs(slices.Clone(rec.Cores))
}

// CPUs returns what the run is bound to, none where it runs without affinity. It
// never waits for a move.
func (b *Binder) CPUs() []int { return slices.Clone(*b.cpus.Load()) }

// Leased are the CPUs that the run has a right to; none where it has no lease, also while
// it could not be moved off those that it had.
func (b *Binder) Leased() []int {
	lease, _ := b.cores.alloc.Lease(b.run.Owner)
	return lease.CPUs.Slice()
}

// setCPUs notes what the run is bound to, and returns what it was bound to before.
func (b *Binder) setCPUs(cpus []int) (before []int) {
	if old := b.cpus.Swap(&cpus); old != nil {
		before = *old
	}
	return before
}

// Release gives the cores back at the run's end, or when its start has failed.
// Nobody binds the run any more. Runs without a lease spread to the cores in the
// next round of Reevaluate. A second call does nothing.
func (b *Binder) Release() {
	b.mu.Lock()
	if !b.released {
		b.released = true
		b.cores.alloc.Release(b.run.Owner)
	}
	b.unlock()
	b.cores.forget(b)
}

// say keeps an event until the lock is given back. The caller holds mu.
func (b *Binder) say(format string, args ...any) {
	b.unsaid = append(b.unsaid, saying{words: fmt.Sprintf(format, args...)})
}

// unlock gives mu back and then does what must not be done under it: it reports,
// and has memory moved. Whoever takes mu gives it back so.
func (b *Binder) unlock() {
	unsaid, move := b.unsaid, b.moving.begin()
	b.unsaid = nil
	b.mu.Unlock()
	for _, s := range unsaid {
		if s.takenUp && b.run.TakenUp != nil {
			b.run.TakenUp(s.words, s.asBefore)
		} else {
			b.run.Report(s.words)
		}
	}
	if move {
		b.cores.inBackground(b.moveMemory)
	}
}
