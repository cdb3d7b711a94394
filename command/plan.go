// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/machine"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/marks"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
)

// planReport is what `plan -json` prints.
type planReport struct {
	Cores        []int  `json:"cores"`
	NUMANodes    []int  `json:"numa_nodes"`
	Reason       string `json:"reason"`
	IdleSiblings []int  `json:"idle_siblings"` // held with the cores, not used
	planBasis
}

// planBasis is what a plan took into account.
type planBasis struct {
	SMT           allocator.SMT    `json:"smt"`
	Layout        allocator.Layout `json:"layout"`
	Tasks         int              `json:"tasks"`
	Taken         []int            `json:"taken"`    // CPUs of these
	Reserved      []int            `json:"reserved"` // by Nomad, for others
	NotConsidered *string          `json:"not_considered"`
	Notes         []string         `json:"notes"`
}

// planRequest is a checked call.
type planRequest struct {
	ncpu   int
	busy   cpuset.Set
	reader *node.Reader
	empty  bool
	named  bool // state_dir is: what cannot be read is an error
	remote bool // a captured machine, on which this node's tasks are not
	json   bool
}

func runPlan(ctx context.Context, args []string, s streams) error {
	req, err := parsePlan(args)
	if err != nil {
		return err
	}
	defer req.reader.Close()
	facts, ignored, err := req.facts(ctx)
	if err != nil {
		return err
	}
	for _, w := range facts.Warnings {
		fmt.Fprintf(s.err, "warning: %s\n", screen.Clean(w))
	}
	state := node.NewState(facts, req.reader.Overrides)
	lease, err := state.Plan(req.ncpu, req.busy)
	var short *allocator.ShortageError
	if err != nil && !errors.As(err, &short) {
		return err
	}
	report := planReport{
		Cores: lease.CPUs.Slice(), NUMANodes: lease.NUMANodes, Reason: lease.Reason,
		IdleSiblings: lease.Held.Difference(lease.CPUs).Slice(), planBasis: basisOf(state, ignored),
	}
	if short != nil {
		report.NUMANodes, report.Reason = []int{}, fmt.Sprintf("not enough free cores: %s", short)
	}
	if req.json {
		err = writeJSON(s.out, report)
	} else {
		err = writePlan(&req, state, lease, report, s)
	}
	if err == nil && short != nil {
		return errAnswerNo
	}
	return err
}

func parsePlan(args []string) (planRequest, error) {
	var req planRequest
	fs := newFlags("plan")
	agent, newReader := readerFlags(fs)
	agent.StatusFlag(fs)
	fs.IntVar(&req.ncpu, "ncpu", 0, "")
	busy := fs.String("busy", "", "")
	layout := fs.String("layout", "", "")
	fs.BoolVar(&req.empty, "empty", false, "")
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
	if req.reader, err = newReader(); err != nil {
		return req, err
	}
	if *layout != "" {
		if req.reader.Overrides.Layout, err = allocator.ParseLayout(*layout); err != nil {
			return req, usagef("-layout: %v", err)
		}
	}
	req.reader.StatusDir, req.reader.CoresOnly = agent.StatusDir(), true
	req.named, req.remote = agent.Named(), req.reader.Sysfs != "" && !agent.InCall()
	return req, nil
}

// facts are what a plan begins with, and why nothing that runs is among it; "" where it is.
func (req *planRequest) facts(ctx context.Context) (f *node.Facts, ignored string, err error) {
	if !req.remote {
		f, err = req.reader.Facts(ctx)
		var none *node.NoStateError
		var closed *node.ClosedError
		switch {
		case err == nil && req.empty:
			f.Tasks, f.Others, f.NomadReserved, f.Notes = nil, nil, cpuset.Set{}, nil
			return f, "-empty", nil
		case err == nil:
			return f, "", nil
		case req.named, !errors.As(err, &none) && !errors.As(err, &closed):
			return nil, "", err
		}
	}
	switch {
	case req.empty:
		ignored = "-empty"
	case req.remote:
		ignored = "this is a captured machine; -state-dir names whose tasks count"
	default:
		ignored = err.Error()
	}
	topo, warnings, err := topology.Discover(req.reader.Sysfs)
	return &node.Facts{Now: time.Now(), Topology: topo, Warnings: warnings}, ignored, err
}

// basisOf says what a plan takes into account.
func basisOf(s *node.State, ignored string) planBasis {
	b := planBasis{
		SMT: s.Options.SMT, Layout: s.Options.Layout, Tasks: len(s.Live()),
		Taken: s.Taken().Slice(), Reserved: s.Reserved.Slice(), Notes: append([]string{}, s.Notes...),
	}
	if s.Others != nil {
		b.Tasks += s.Others.Tasks
	}
	if ignored != "" {
		b.NotConsidered = &ignored
	}
	return b
}

// writePlan draws the machine with the chosen cores and says why.
func writePlan(req *planRequest, state *node.State, lease allocator.Lease, report planReport, s streams) error {
	topo, out := state.Topology, screen.Of(s.out)
	d := &statusDrawing{State: state, screen: out, marks: marks.Marks{}}
	d.marks.Assign(d.Live())
	lines := append(screen.Wrap(machine.Describe(topo), out.Width, 0), nil)
	m := machine.Drawing{Topology: topo, Screen: out, Cell: d.planCell(req, lease)}
	lines = append(append(lines, m.Draw()...), nil)
	if lease.CPUs.IsEmpty() {
		lines = append(lines, screen.Styled(screen.Red, "No: "+report.Reason))
		advice := "Ask for fewer cores, or wait until some are free."
		if topo.HyperThreading() && state.Options.SMT == allocator.SMTIsolate {
			advice += " With smt = \"share\" sibling threads count as cores."
		}
		if left := topo.Isolated.Intersect(topo.Online).Difference(state.Usable); !left.IsEmpty() {
			advice += fmt.Sprintf(" CPUs %s are isolated (isolcpus): cores.usable has to name them.", left)
		}
		lines = append(lines, screen.Wrap(advice, out.Width, 0)...)
		return write(s.out, out.Render(append(lines, d.basis(req, report)...)))
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
	return write(s.out, out.Render(append(lines, d.basis(req, report)...)))
}

// planNames is how many tasks a plan names.
const planNames = 8

// basis says what a plan took into account.
func (d *statusDrawing) basis(req *planRequest, report planReport) []screen.Line {
	var parts []string
	for i, t := range d.Live() {
		if i == planNames {
			parts = append(parts, fmt.Sprintf("%d more tasks", len(d.Live())-i))
			break
		}
		glyph, _ := d.marks.Of(t)
		cores := "without cores of its own"
		if t.Pinned {
			cores = "on " + t.Cores.String()
		}
		parts = append(parts, fmt.Sprintf("%c %s/%s %s", glyph, screen.Clean(t.Job()), screen.Clean(t.ID.Task), cores))
	}
	if d.Others != nil && d.Others.Tasks > 0 {
		parts = append(parts, fmt.Sprintf("%s of other users on %s", screen.Plural(d.Others.Tasks, "task"), d.Others.CPUs))
	}
	if !d.Reserved.IsEmpty() {
		parts = append(parts, fmt.Sprintf("%s, which Nomad has reserved for others", d.Reserved))
	}
	if report.NotConsidered == nil && len(parts) == 0 {
		parts = append(parts, "no task runs")
	}
	if !req.busy.IsEmpty() {
		parts = append(parts, "-busy "+req.busy.String())
	}
	var lines []screen.Line
	say := func(text string) { lines = append(lines, screen.Wrap(screen.Clean(text), d.screen.Width, 2)...) }
	if len(parts) > 0 {
		say("Taken into account: " + strings.Join(parts, "; ") + ".")
	}
	if report.NotConsidered != nil {
		say("What runs is not taken into account: " + *report.NotConsidered + ".")
	}
	say(fmt.Sprintf("Cores are given out with smt = %q and layout = %q.", report.SMT, report.Layout))
	for _, note := range report.Notes {
		say("Note: " + note)
	}
	return lines
}

// planCell draws one CPU of a plan: the job's, and else as status does.
func (d *statusDrawing) planCell(req *planRequest, lease allocator.Lease) func(topology.CPU) machine.Cell {
	blocked := req.busy
	if d.Options.SMT == allocator.SMTIsolate {
		blocked = d.Topology.CoresOf(req.busy)
	}
	return func(cpu topology.CPU) machine.Cell {
		switch {
		case lease.CPUs.Contains(cpu.Index):
			return machine.Cell{Glyph: d.screen.Pick('█', '#'), Style: "1;32", Meaning: "the job"}
		case lease.Held.Contains(cpu.Index):
			return machine.Cell{Glyph: '-', Style: screen.Green, Meaning: "idle sibling of the job"}
		case req.busy.Contains(cpu.Index):
			return machine.Cell{Glyph: 'x', Style: screen.Yellow, Meaning: "busy"}
		case blocked.Contains(cpu.Index):
			return machine.Cell{Glyph: '-', Style: screen.Yellow, Meaning: "sibling of a busy thread"}
		}
		return d.cell(cpu)
	}
}
