// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/machine"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
)

const planHelp = `USAGE
  nomad-driver-lsdyna plan -ncpu N [-busy LIST] [-usable LIST]
      [-smt isolate|share] [-layout pack|scatter] [-sysfs DIR] [-json]

DESCRIPTION
  Says which cores a job of N cores would get on a machine where the CPUs of
  LIST are taken, and why. It asks the driver's own allocator, and changes
  nothing. Tasks that run now are not looked at: give their cores as LIST (the
  status command shows them).

OPTIONS
  -ncpu N         Cores of the job: physical cores with -smt isolate, logical
                  CPUs with -smt share.
  -busy LIST      CPUs that are taken, as the kernel writes lists: 0-7,64-71
  -usable LIST    CPUs to give out, as the agent's cores.usable. Without it all, but
                  not those isolated from the scheduler (isolcpus): they are
                  given out only where they are named.
  -smt MODE       isolate (one thread of each core is used, its siblings stay
                  idle; the default) or share (siblings are cores, too).
  -layout LAYOUT  pack (fewest sockets, NUMA nodes and L3 caches; the default)
                  or scatter (evenly over NUMA nodes).
  -sysfs DIR      A captured machine instead of this one; see topology.
  -json           An object with cores, numa_nodes, reason and idle_siblings.
                  Without enough cores the lists are empty.

EXIT STATUS
  0; 1 when too few cores are free; 2 for a wrong call.

EXAMPLES
  nomad-driver-lsdyna plan -ncpu 16
  nomad-driver-lsdyna plan -ncpu 16 -busy 0-7,32 -layout scatter -json
`

// planReport is what `plan -json` prints.
type planReport struct {
	Cores        []int  `json:"cores"`
	NUMANodes    []int  `json:"numa_nodes"`
	Reason       string `json:"reason"`
	IdleSiblings []int  `json:"idle_siblings"` // held with the cores, not used
}

// planRequest is a checked call.
type planRequest struct {
	ncpu   int
	busy   cpuset.Set
	usable cpuset.Set // empty for all that are not isolated
	opts   allocator.Options
	sysfs  string
	json   bool
}

func runPlan(_ context.Context, args []string, s streams) error {
	req, err := parsePlan(args)
	if err != nil {
		return err
	}
	topo, err := discover(req.sysfs, s)
	if err != nil {
		return err
	}
	managed := topo.Manageable(topo.Online, req.usable)
	lease, err := allocator.New(topo, managed, req.opts).Plan(req.ncpu, req.busy)
	var short *allocator.ShortageError
	if err != nil && !errors.As(err, &short) {
		return err
	}
	report := planReport{
		Cores: lease.CPUs.Slice(), NUMANodes: lease.NUMANodes, Reason: lease.Reason,
		IdleSiblings: lease.Held.Difference(lease.CPUs).Slice(),
	}
	if short != nil {
		report.NUMANodes, report.Reason = []int{}, fmt.Sprintf("not enough free cores: %s", short)
	}
	if req.json {
		err = writeJSON(s.out, report)
	} else {
		err = writePlan(req, topo, lease, report, s)
	}
	if err == nil && short != nil {
		return errAnswerNo
	}
	return err
}

func parsePlan(args []string) (planRequest, error) {
	var req planRequest
	fs := newFlags("plan")
	fs.IntVar(&req.ncpu, "ncpu", 0, "")
	busy := fs.String("busy", "", "")
	usable := fs.String("usable", "", "")
	smt := fs.String("smt", "", "")
	layout := fs.String("layout", "", "")
	fs.StringVar(&req.sysfs, "sysfs", "", "")
	fs.BoolVar(&req.json, "json", false, "")
	err := parseOnly(fs, args)
	if err != nil {
		return req, err
	}
	if req.ncpu < 1 {
		return req, usagef("say how many cores the job has: -ncpu N, 1 or more")
	}
	if req.busy, err = cpuset.Parse(*busy); err != nil {
		return req, usagef("-busy takes a list such as 0-7,64: %v", err)
	}
	if req.usable, err = cpuset.Parse(*usable); err != nil {
		return req, usagef("-usable takes a list such as 0-7,64: %v", err)
	}
	if req.opts.SMT, err = allocator.ParseSMT(*smt); err != nil {
		return req, usagef("-smt: %v", err)
	}
	if req.opts.Layout, err = allocator.ParseLayout(*layout); err != nil {
		return req, usagef("-layout: %v", err)
	}
	return req, nil
}

// writePlan draws the machine with the chosen cores and says why.
func writePlan(req planRequest, topo *topology.Topology, lease allocator.Lease, report planReport, s streams) error {
	out := screen.Of(s.out)
	lines := append(screen.Wrap(machine.Describe(topo), out.Width, 0), nil)
	d := machine.Drawing{Topology: topo, Screen: out, Cell: planCell(req, out, topo, lease)}
	lines = append(lines, d.Draw()...)
	lines = append(lines, nil)
	if lease.CPUs.IsEmpty() {
		lines = append(lines, screen.Styled(screen.Red, "No: "+report.Reason))
		advice := "Ask for fewer cores, or wait until some are free."
		if topo.HyperThreading() && req.opts.SMT == allocator.SMTIsolate {
			advice += " With smt = \"share\" sibling threads count as cores."
		}
		if left := topo.Isolated.Intersect(topo.Online); req.usable.IsEmpty() && !left.IsEmpty() {
			advice += fmt.Sprintf(" CPUs %s are isolated (isolcpus): cores.usable has to name them.", left)
		}
		lines = append(lines, screen.Wrap(advice, out.Width, 0)...)
		return write(s.out, out.Render(lines))
	}
	for i, l := range screen.Wrap("The job gets "+allocator.Describe(lease)+".", out.Width, 2) {
		if i == 0 {
			l[0].Style = screen.Bold
		}
		lines = append(lines, l)
	}
	if idle := lease.Held.Difference(lease.CPUs); !idle.IsEmpty() {
		lines = append(lines, screen.Wrap(fmt.Sprintf("Siblings %s stay idle.", idle), out.Width, 2)...)
	}
	if lease.Reason != "" {
		lines = append(lines, screen.Wrap("Why: "+lease.Reason, out.Width, 5)...)
	}
	return write(s.out, out.Render(lines))
}

// planCell draws one CPU of a plan.
func planCell(req planRequest, out screen.Screen, topo *topology.Topology, lease allocator.Lease) func(topology.CPU) machine.Cell {
	blocked := req.busy
	managed := topo.Manageable(topo.Online, req.usable)
	if req.opts.SMT == allocator.SMTIsolate {
		blocked = topo.CoresOf(req.busy)
	}
	return func(cpu topology.CPU) machine.Cell {
		switch {
		case lease.CPUs.Contains(cpu.Index):
			return machine.Cell{Glyph: out.Pick('█', '#'), Style: "1;32", Meaning: "the job"}
		case lease.Held.Contains(cpu.Index):
			return machine.Cell{Glyph: '-', Style: screen.Green, Meaning: "idle sibling of the job"}
		case req.busy.Contains(cpu.Index):
			return machine.Cell{Glyph: 'x', Style: screen.Yellow, Meaning: "busy"}
		case blocked.Contains(cpu.Index):
			return machine.Cell{Glyph: '-', Style: screen.Yellow, Meaning: "sibling of a busy thread"}
		case managed.Contains(cpu.Index):
			return machine.Cell{Glyph: out.Pick('·', '.'), Style: screen.Dim, Meaning: "free"}
		case topo.Isolated.Contains(cpu.Index):
			return machine.Isolated
		}
		return machine.Cell{Glyph: '/', Style: screen.Dim, Meaning: "not given out"}
	}
}
