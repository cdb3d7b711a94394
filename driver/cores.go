// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/client/lib/numalib"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/affinity"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// nomadCores are the cores that Nomad may use, as the agent said in SetConfig.
type nomadCores struct {
	known  bool
	usable cpuset.Set
}

// coresOfNomad takes from Nomad's topology only which cores it may use. The
// shape of the machine comes from sysfs: without cpufreq Nomad reports one NUMA
// node for all cores.
func coresOfNomad(topo *numalib.Topology) nomadCores {
	if topo == nil || len(topo.Cores) == 0 {
		return nomadCores{}
	}
	n := nomadCores{known: true}
	for _, core := range topo.Cores {
		if !core.Disable {
			n.usable.Add(int(core.ID))
		}
	}
	return n
}

// cores is the driver's book of who owns which core: the allocator, and what
// Nomad reserves beside it.
type cores struct {
	logger hclog.Logger
	config *Config
	nomad  nomadCores
	sysfs  string
	cgroup cgroupTree

	mu      sync.Mutex // one change at a time: read the reservations, then decide
	alloc   *allocator.Allocator
	parents map[string]bool // cgroup parents of agents whose tasks we saw
}

func newCores(config *Config, nomad nomadCores, logger hclog.Logger) (*cores, error) {
	c := &cores{
		logger: logger, config: config, nomad: nomad, cgroup: defaultCgroupTree(),
		parents: map[string]bool{},
	}
	topo, managed, err := c.machine()
	if err != nil {
		return nil, err
	}
	opts, err := config.options()
	if err != nil {
		return nil, err
	}
	c.alloc = allocator.New(topo, managed, opts)
	c.parents[c.cgroup.DefaultParent()] = true
	if reserved := c.reservedByNomad(); !reserved.IsEmpty() {
		c.alloc.SetUnavailable(reserved)
	}
	logger.Info("cores", "managed", managed.String(), "physical", topo.PhysicalCores(), "logical", topo.LogicalCores(),
		"smt", opts.SMT, "layout", opts.Layout)
	return c, nil
}

// machine reads the machine and which CPUs of it the driver may give out.
func (c *cores) machine() (*topology.Topology, cpuset.Set, error) {
	topo, warnings, err := topology.Discover(c.sysfs)
	if err != nil {
		return nil, cpuset.Set{}, err
	}
	for _, w := range warnings {
		c.logger.Debug("topology", "warning", w)
	}
	managed := topo.Online
	if c.nomad.known {
		managed = managed.Intersect(c.nomad.usable)
	}
	if own, err := ownAffinity(); err == nil {
		managed = managed.Intersect(own)
	}
	usable, _ := c.config.usable()
	all := managed
	managed = topo.Manageable(all, usable)
	if left := all.Difference(managed).Intersect(topo.Isolated); usable.IsEmpty() && !left.IsEmpty() {
		c.logger.Warn("isolated CPUs (isolcpus) are not given out unless cores.usable names them", "cpus", left.String())
	}
	if managed.IsEmpty() {
		return nil, managed, errors.New("no core is left to give out: cores.usable, Nomad's usable cores and the agent's own affinity have none in common")
	}
	return topo, managed, nil
}

// settings are what the status command is to know of the configuration.
func (c *cores) settings() state.Settings {
	opts := c.alloc.Options()
	return state.Settings{
		SMT: string(opts.SMT), Layout: string(opts.Layout), Usable: c.config.Cores.Usable,
		NomadUsable: c.nomad.usable.String(),
	}
}

// ownAffinity returns the CPUs that this process may run on; what the agent's
// service manager or cgroup withholds is not ours to give.
func ownAffinity() (cpuset.Set, error) { return affinity.Get(0) }

func (c *cores) topology() *topology.Topology { return c.alloc.Topology() }
func (c *cores) managed() cpuset.Set          { return c.alloc.Managed() }

// reservedByNomad returns the cores that Nomad has reserved for tasks, of any
// driver. Nomad writes them before it starts the task that asked for them.
func (c *cores) reservedByNomad() cpuset.Set {
	var reserved cpuset.Set
	for parent := range c.parents {
		reserved = reserved.Union(c.cgroup.Reserved(parent))
	}
	return reserved
}

// coreRequest is what a task asks for.
type coreRequest struct {
	owner    string
	n        int        // cores to pick; ignored with reserved
	reserved cpuset.Set // exactly these, reserved by Nomad
	parent   string     // the cgroup parent of the task's agent, "" for none
}

// take leases cores to a task. Displaced are leases of other tasks that lost
// cores to a reservation and are to be moved.
func (c *cores) take(r coreRequest) (lease allocator.Lease, displaced []allocator.Lease, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.parent != "" {
		c.parents[r.parent] = true
	}
	displaced = c.alloc.SetUnavailable(c.reservedByNomad())
	if !r.reserved.IsEmpty() {
		lease, more, err := c.alloc.Reserve(r.owner, r.reserved)
		return lease, append(displaced, more...), err
	}
	lease, err = c.alloc.Allocate(r.owner, r.n)
	return lease, displaced, err
}

// learnParent has the reservations below a cgroup parent counted, too.
func (c *cores) learnParent(parent string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if parent != "" {
		c.parents[parent] = true
	}
}

// restore leases to a task that outlived a restart what it had.
func (c *cores) restore(owner string, wanted cpuset.Set, reserved bool) (allocator.Lease, allocator.Restored, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alloc.Restore(owner, wanted, reserved)
}

// move finds other cores for a displaced task.
func (c *cores) move(owner string) (old, new allocator.Lease, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alloc.Move(owner)
}

// refresh looks at what Nomad reserves and at the machine, and returns the
// leases that have to move.
func (c *cores) refresh() []allocator.Lease {
	c.mu.Lock()
	defer c.mu.Unlock()
	displaced := c.alloc.SetUnavailable(c.reservedByNomad())
	online, err := onlineCPUs(c.sysfs)
	if err != nil || online == c.alloc.Topology().Online {
		return displaced
	}
	topo, managed, err := c.machine()
	if err != nil {
		c.logger.Error("cannot read the machine again", "error", err)
		return displaced
	}
	c.logger.Info("CPUs changed", "online", topo.Online.String(), "managed", managed.String())
	return append(displaced, c.alloc.SetManaged(topo, managed)...)
}

// unleased are the cores for tasks that have none of their own: those that are in
// no lease and that Nomad has not reserved. None when there is no such core left.
func (c *cores) unleased() cpuset.Set {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.alloc.Free().IsEmpty() {
		return cpuset.Set{}
	}
	return c.alloc.Unleased()
}

// release gives a task's cores back.
func (c *cores) release(owner string) { c.alloc.Release(owner) }

// physical counts the physical cores among some CPUs.
func (c *cores) physical(cpus cpuset.Set) int {
	topo := c.alloc.Topology()
	seen := map[int]bool{}
	for index := range cpus.All() {
		if cpu, ok := topo.CPU(index); ok && cpu.Online {
			seen[cpu.Core] = true
		}
	}
	return max(len(seen), 1)
}

// placement orders a lease's CPUs the way ranks and threads take them: one of
// each physical core first, siblings after; and the same by NUMA node.
func (c *cores) placement(lease allocator.Lease) launch.Placement {
	topo := c.alloc.Topology()
	var first, rest []topology.CPU
	seen := map[int]bool{}
	for index := range lease.CPUs.All() {
		cpu, ok := topo.CPU(index)
		if !ok {
			continue
		}
		if seen[cpu.Core] {
			rest = append(rest, cpu)
			continue
		}
		seen[cpu.Core] = true
		first = append(first, cpu)
	}
	var p launch.Placement
	nodeAt := map[int]int{}
	for _, cpu := range append(first, rest...) {
		p.CPUs = append(p.CPUs, cpu.Index)
		at, ok := nodeAt[cpu.NUMANode]
		if !ok {
			at = len(p.ByNode)
			nodeAt[cpu.NUMANode] = at
			p.ByNode = append(p.ByNode, nil)
		}
		p.ByNode[at] = append(p.ByNode[at], cpu.Index)
	}
	return p
}
