// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/hangfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// long is a run of two minutes that takes a switch at once.
const long = "STANDIN_PACE = \"100ms\"\nSTANDIN_POLL = \"1\""

// A run folder belongs to one run, on whatever node and by whatever path another one
// comes to it, and whatever dies meanwhile. The other waits, tells for whom, and goes on
// from the dump that the first one wrote at its stop.
func TestDriver_OneSolverAFolder(t *testing.T) {
	t.Parallel()
	all := newNodes(t)
	for _, c := range waits {
		t.Run(c.name, func(t *testing.T) { all.in(t).try(c) })
	}
	t.Run("a stop that takes its time", func(t *testing.T) { all.in(t).slowStop() })
	t.Run("a drain over its deadline", func(t *testing.T) { all.in(t).overdueDrain() })
	t.Run("count = 2", func(t *testing.T) { all.in(t).countOfTwo() })
	t.Run("a lost client", func(t *testing.T) { all.in(t).lostClient() })
}

// A wait is a run that has a folder, and another that asks for it.
type wait struct {
	name    string
	alias   func(n *nodes) string      // the work root in which the other looks, nil for the same
	oneNode bool                       // both are on one node
	disturb func(n *nodes, owner *run) // while the other waits
}

var (
	theBind = func(n *nodes) string { return n.bind }
	theLink = func(n *nodes) string { return n.link }
	// Of two nodes neither sees the other's locks.
	theServed = func(n *nodes) string { return n.served }
)

var waits = []wait{
	{name: "two nodes"},
	{name: "a bind mount of the root", alias: theBind},
	{name: "a link to the root", alias: theLink},
	{name: "a bind mount on one node", alias: theBind, oneNode: true},
	{name: "a link on one node", alias: theLink, oneNode: true},
	{name: "locks that end at the node", alias: theServed},
	{name: "the plugin is killed", disturb: func(_ *nodes, owner *run) {
		owner.s.killPlugin()
		owner.recovered()
	}},
	{name: "the supervisor is killed", disturb: func(_ *nodes, owner *run) { owner.killSupervisor() }},
	{name: "supervisor and plugin are killed", disturb: func(_ *nodes, owner *run) {
		owner.killSupervisor()
		owner.s.killPlugin()
		owner.recovered()
	}},
	{name: "everything but the solver is killed", disturb: func(n *nodes, owner *run) {
		owner.s.killBoth()
		owner.killSupervisor()
		n.livesAlone(owner)
		start(owner.s.t, owner.s.Agent)
		owner.recovered()
	}},
}

func (n *nodes) try(c wait) {
	if c.alias != nil && c.alias(n) == "" {
		n.t.Skip(hangfs.Missing())
	}
	name := strings.ReplaceAll(c.name, " ", "-")
	first := n.first
	if c.oneNode {
		first = n.second
	}
	hcl := jobHCL{name: name, folder: first.deck(name, "solid_bar_impact"), config: "ncpu = 1", env: long}
	owner := first.start(first.on(hcl))
	first.waitCycles(owner)
	hcl.name, hcl.env = name+"-2", ""
	if c.alias != nil {
		hcl.folder = filepath.Join(c.alias(n), name)
	}
	other := n.second.asks(n.second.on(hcl))
	other.waitsFor(owner)
	if c.disturb != nil {
		c.disturb(n, owner)
	}
	n.livesAlone(owner)
	owner.askToStop()
	alloc, err := first.WaitAlloc(within(n.t), owner.alloc, cluster.Terminal, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
	must.NoError(n.t, err, must.Sprint(cluster.DescribeAlloc(alloc)))
	n.goesOnAfter(other)
}

// killSupervisor kills the run's supervisor. Its solver lives on.
func (r *run) killSupervisor() {
	r.s.t.Helper()
	p, err := proc.Read(r.pidFile().SupervisorPID)
	must.NoError(r.s.t, err)
	must.NoError(r.s.t, cluster.Signal(p, unix.SIGKILL))
	must.NoError(r.s.t, cluster.WaitGone(within(r.s.t), p))
}

// A run that is being stopped still has its folder: who asks for it then takes neither
// its sense switch nor its dump.
func (n *nodes) slowStop() {
	hcl := jobHCL{name: "stopped", folder: n.first.deck("stopped", "solid_bar_impact"), config: "ncpu = 1", env: long}
	owner := n.first.start(n.first.on(hcl))
	n.first.waitCycles(owner)
	goOn := owner.freeze()
	owner.askToStop()
	owner.waitSwitch()
	hcl.name, hcl.env = "asks", ""
	other := n.second.asks(n.second.on(hcl))
	other.waitsFor(owner)
	owner.waitSwitch() // still
	goOn()
	owner.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
	n.goesOnAfter(other)
}

// Nomad stops an allocation on a drained node at the latest at the deadline. When the
// node may have work again, the job's next allocation comes before the solver of the
// last has written its dump.
func (n *nodes) overdueDrain() {
	hcl := jobHCL{name: "drained", folder: n.first.deck("drained", "solid_bar_impact"), config: "ncpu = 1", env: long}
	n.second.eligible(false)
	owner := n.first.asks(hcl)
	owner.wait(api.AllocClientStatusRunning, cluster.TaskState("lsdyna", "running"))
	n.first.waitCycles(owner)
	goOn := owner.freeze()
	n.first.drain(time.Second)
	owner.waitSwitch()
	n.second.eligible(true)
	n.first.eligible(true)
	_, _, err := n.first.API.Jobs().ForceEvaluate(hcl.name, nil)
	must.NoError(n.t, err)
	allocs, err := n.first.WaitPlaced(within(n.t), hcl.name, 2)
	must.NoError(n.t, err)
	other := n.runOf(allocs[0], hcl.folder)
	other.waitsFor(owner)
	owner.waitSwitch() // still
	goOn()
	owner.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
	n.goesOnThere(other)
}

// runOf is the run of an allocation on either node.
func (n *nodes) runOf(a *api.AllocationListStub, folder string) *run {
	s := n.first
	if a.NodeID == n.second.NodeID() {
		s = n.second
	}
	return &run{s: s, job: a.JobID, folder: folder, alloc: a.ID}
}

// countOfTwo is a mistake in a job: the second of a group waits for the first.
func (n *nodes) countOfTwo() {
	hcl := jobHCL{name: "two", folder: n.first.deck("two", "solid_bar_impact"), config: "ncpu = 1", env: `STANDIN_PACE = "4ms"`}
	const group = `group "g" {`
	_, err := n.first.Submit(within(n.t), strings.Replace(persistent(hcl.String()), group, group+`
    count = 2
    constraint {
      distinct_hosts = true
    }`, 1), "")
	must.NoError(n.t, err)
	allocs, err := n.first.WaitPlaced(within(n.t), hcl.name, 2)
	must.NoError(n.t, err)
	runs := map[string]*run{}
	for _, a := range allocs {
		runs[a.ID] = n.runOf(a, hcl.folder)
	}
	var owner, other *run
	must.NoError(n.t, cluster.Poll(within(n.t), "one of the two to run", func() (bool, string, error) {
		for id, r := range runs {
			if len(r.solvers()) == 1 {
				owner = r
				delete(runs, id)
				return true, "", nil
			}
		}
		return false, "", nil
	}))
	for _, r := range runs {
		other = r
	}
	goOn := owner.freeze()
	other.waitsFor(owner)
	goOn()
	for _, r := range []*run{owner, other} {
		r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
		must.Eq(n.t, n.whole, r.results())
	}
}

// lostClient: a client is gone for so long that Nomad takes its allocations for lost
// and replaces them. The solver that lives on keeps its folder until the client returns
// and stops it.
func (n *nodes) lostClient() {
	hcl := jobHCL{name: "lost", folder: n.first.deck("lost", "solid_bar_impact"), config: "ncpu = 1", env: long}
	n.second.eligible(false)
	owner := n.first.asks(hcl)
	n.second.eligible(true)
	owner.wait(api.AllocClientStatusRunning, cluster.TaskState("lsdyna", "running"))
	n.first.waitCycles(owner)
	n.first.killBoth()
	n.livesAlone(owner)
	allocs, err := n.first.WaitPlaced(within(n.t), hcl.name, 2)
	must.NoError(n.t, err)
	other := n.runOf(allocs[0], hcl.folder)
	other.waitsFor(owner)
	n.livesAlone(owner)
	start(n.t, n.first.Agent)
	n.goesOnThere(other)
}

// goesOnThere waits until a run has gone on from the dump of the one before it, and
// stops it.
func (n *nodes) goesOnThere(r *run) {
	r.wait(api.AllocClientStatusRunning, cluster.TaskState("lsdyna", "running"), cluster.TaskEvent("lsdyna", "Restarting from d3dump01"))
	n.livesAlone(r)
	r.s.waitCycles(r)
	must.NoError(n.t, n.first.StopJob(within(n.t), r.job, false))
	r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump02 written"))
}
