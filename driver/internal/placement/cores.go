// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/nomadcgroup"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Interval is how often Reevaluate should be called.
const Interval = 2 * time.Second

// Cores are the CPUs of the machine: which of them the driver gives out, what Nomad
// reserves beside it, and the Binders of all runs that live.
type Cores struct {
	settings Settings
	logger   hclog.Logger
	cgroups  nomadcgroup.Tree
	alloc    *allocator.Allocator

	// mu guards what follows. It also makes one step of reading what Nomad reserves,
	// or the machine, and telling the allocator: a late reader must not undo what an
	// early one has told. No Binder is locked under it.
	mu       sync.Mutex
	binders  map[string]*Binder // by owner
	parents  map[string]bool    // cgroup parents of the agents whose runs are known
	closed   bool               // nothing more runs in the background
	expected int                // cores that starts on their way will take

	background sync.WaitGroup // its Add under mu, while not closed
}

// New reads the machine. It fails where no core is left to give out.
func New(settings Settings, logger hclog.Logger) (*Cores, error) {
	topo, managed, err := settings.discover(logger)
	if err != nil {
		return nil, err
	}
	c := &Cores{
		settings: settings, logger: logger,
		cgroups: nomadcgroup.Below(cmp.Or(settings.CgroupRoot, "/sys/fs/cgroup")),
		alloc:   allocator.New(topo, managed, settings.Options),
		binders: map[string]*Binder{}, parents: map[string]bool{},
	}
	c.parents[c.cgroups.DefaultParent()] = true
	c.readReservations()
	opts := c.alloc.Options()
	logger.Info("cores", "managed", managed.String(), "physical", topo.PhysicalCores(), "logical", topo.LogicalCores(),
		"smt", opts.SMT, "layout", opts.Layout)
	return c, nil
}

// Topology returns the machine as it was last read.
func (c *Cores) Topology() *topology.Topology { return c.alloc.Topology() }

// Managed returns the CPUs that the driver may give out.
func (c *Cores) Managed() cpuset.Set { return c.alloc.Managed() }

// Leases returns who has which cores, ordered by owner.
func (c *Cores) Leases() []allocator.Lease { return c.alloc.Leases() }

// PhysicalCores counts the physical cores among some CPUs, at least 1.
func (c *Cores) PhysicalCores(cpus cpuset.Set) int {
	return max(physicalCores(c.alloc.Topology(), cpus), 1)
}

// Capacity is how many cores a run could have if no other did: physical ones, or
// CPUs where siblings are cores too.
func (c *Cores) Capacity() int {
	if c.alloc.Options().SMT == allocator.SMTShare {
		return c.alloc.Managed().Len()
	}
	return physicalCores(c.alloc.Topology(), c.alloc.Managed())
}

// Settings are what the status command has to know of the configuration.
func (c *Cores) Settings() state.Settings {
	opts := c.alloc.Options()
	s := state.Settings{SMT: string(opts.SMT), Layout: string(opts.Layout), Usable: c.settings.Usable.String()}
	if c.settings.Nomad != nil {
		s.NomadUsable = c.settings.Nomad.String()
	}
	return s
}

// DescribeShortage says for a task event how a run goes on that got no cores.
func (c *Cores) DescribeShortage(short *allocator.ShortageError) string {
	words := fmt.Sprintf("Running without affinity: %v", short)
	if all := c.Capacity(); short.Asked > all {
		words = fmt.Sprintf("Running without affinity: more cores are asked than this node gives out (%d, not %d): ask for fewer with ncpu", all, short.Asked)
	}
	if left := c.unleased(); !left.IsEmpty() {
		words += fmt.Sprintf("; kept off leased cores, on %s", left)
	}
	return words
}

// Reevaluate is one round of what nobody announces: it reads what Nomad reserves
// and whether CPUs went offline, moves the runs that lost cores, gives free ones to
// runs that got none, repairs what somebody else changed of the others, and keeps runs
// without a lease off the cores of those that have one.
func (c *Cores) Reevaluate() {
	c.readReservations()
	c.readMachine()
	c.moveDisplaced()
	c.leaseLate()
	var look supervisor.Look
	for _, b := range c.all() {
		b.checkDrift(&look)
	}
	c.reconcileUnleased()
}

// Close waits until nothing runs in the background any more, or for the end of
// ctx. Memory that would have to move afterwards stays where it is.
func (c *Cores) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.background.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for memory that is being moved: %w", ctx.Err())
	}
}

// inBackground runs do in a goroutine that Close waits for.
func (c *Cores) inBackground(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.background.Go(do)
	}
}

// readReservations tells the allocator which cores Nomad has reserved for tasks,
// of any driver. Nomad writes them before it starts the task that asked for them.
// The leases that lose cores by it are displaced; see moveDisplaced.
func (c *Cores) readReservations() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var reserved cpuset.Set
	for parent := range c.parents {
		reserved = reserved.Union(c.cgroups.Reserved(parent))
	}
	c.alloc.SetUnavailable(reserved)
}

// readMachine tells the allocator which CPUs went on- or offline.
func (c *Cores) readMachine() {
	c.mu.Lock()
	defer c.mu.Unlock()
	online, err := c.settings.online()
	if err != nil || online == c.alloc.Topology().Online {
		return
	}
	topo, managed, err := c.settings.discover(c.logger)
	if err != nil {
		c.logger.Error("cannot read the machine again", "error", err)
		return
	}
	c.logger.Info("CPUs changed", "online", topo.Online.String(), "managed", managed.String())
	c.alloc.SetManaged(topo, managed)
}

// moveDisplaced gives the runs that lost cores others. A run that is being started
// is moved when it is attached.
func (c *Cores) moveDisplaced() {
	for _, lease := range c.Leases() {
		if !lease.Displaced {
			continue
		}
		if b := c.binder(lease.Owner); b != nil {
			b.moveDisplaced()
		}
	}
}

// reconcileUnleased keeps every run without a lease off the cores of those that
// have one: leases came or went.
func (c *Cores) reconcileUnleased() {
	for _, b := range c.all() {
		b.reconcileUnleased()
	}
}

// unleased are the CPUs for runs that have none of their own: those that are in no
// lease and that Nomad has not reserved, none where no such CPU is left. Isolated
// CPUs are among them only where there are no others: the scheduler would leave all
// threads of a run on the first of them.
func (c *Cores) unleased() cpuset.Set {
	free := c.alloc.Free()
	if balanced := free.Difference(c.alloc.Topology().Isolated); !balanced.IsEmpty() {
		return balanced
	}
	return free
}

// nodes returns the NUMA nodes with memory that CPUs belong to.
func (c *Cores) nodes(cpus cpuset.Set) []int {
	memory := c.settings.memoryNodes()
	return slices.DeleteFunc(c.alloc.Topology().NodesOf(cpus), func(n int) bool { return !slices.Contains(memory, n) })
}

// learnParent has the reservations below a cgroup parent counted, too.
func (c *Cores) learnParent(parent string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if parent != "" {
		c.parents[parent] = true
	}
}

// binder returns the Binder of an owner, nil where there is none.
func (c *Cores) binder(owner string) *Binder {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.binders[owner]
}

// all returns the Binders, ordered by owner.
func (c *Cores) all() []*Binder {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*Binder, 0, len(c.binders))
	for _, b := range c.binders {
		all = append(all, b)
	}
	slices.SortFunc(all, func(x, y *Binder) int { return cmp.Compare(x.run.Owner, y.run.Owner) })
	return all
}

// register makes a Binder the one of its owner.
func (c *Cores) register(b *Binder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.binders[b.run.Owner] != nil {
		c.logger.Error("a run has two binders", "owner", b.run.Owner)
	}
	c.binders[b.run.Owner] = b
}

// forget takes a Binder out of the registry.
func (c *Cores) forget(b *Binder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.binders[b.run.Owner] == b {
		delete(c.binders, b.run.Owner)
	}
}
