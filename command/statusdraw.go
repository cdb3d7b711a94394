// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/machine"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/marks"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
)

// statusDrawing draws the state of a node.
type statusDrawing struct {
	*node.State
	screen screen.Screen
	marks  marks.Marks
}

// machine draws the machine.
func (d *statusDrawing) machine() []screen.Line {
	d.marks.Assign(d.Live())
	lines := screen.Wrap(machine.Describe(d.Topology), d.screen.Width, 0)
	lines = append(lines, d.freeLine().Cut(d.screen.Width), nil)
	m := machine.Drawing{Topology: d.Topology, Screen: d.screen, Cell: d.cell, Caption: d.caption}
	return append(lines, m.Draw()...)
}

// tasks lists the tasks and what is not as it should be.
func (d *statusDrawing) tasks() []screen.Line {
	d.marks.Assign(d.Live())
	lines := []screen.Line{nil}
	switch {
	case len(d.Live()) == 0 && d.Others == nil:
		lines = append(lines, screen.Text("No task runs."))
	case len(d.Live()) == 0:
		lines = append(lines, screen.Text("No task of yours runs."))
	default:
		lines = append(lines, d.table()...)
	}
	return slices.Concat(lines, d.perTask((*node.Task).Shape), d.perTask((*node.Task).Part), d.perTask(d.loss), d.ended(), d.notes(), d.lastRuns())
}

func (d *statusDrawing) freeLine() screen.Line {
	l := screen.Styled(screen.Bold, screen.Plural(d.Available, "core")+" free")
	unit := "whole cores, siblings stay idle"
	if d.Options.SMT == allocator.SMTShare {
		unit = "logical CPUs"
	}
	if d.Topology.HyperThreading() && d.screen.Width >= roomForUnit {
		l.Add(screen.Plain, " ("+unit+")")
	}
	l.Add(screen.Plain, fmt.Sprintf(", %s", screen.Plural(len(d.Live()), "task")))
	if d.Others != nil {
		l.Add(screen.Plain, fmt.Sprintf(" of yours, %d of other users", d.Others.Tasks))
	}
	return l
}

// roomForUnit is the width at which the line of free cores says what a core is: in less,
// how many tasks there are would be cut off; and what a run does is said in a word.
const roomForUnit = 60

// cell draws one CPU by who has it.
func (d *statusDrawing) cell(cpu topology.CPU) machine.Cell {
	use := d.Use(cpu.Index)
	switch {
	case len(use.Bound) > 1:
		return machine.Cell{Glyph: '#', Style: screen.Red, Meaning: "claimed by two tasks"}
	case len(use.Bound) == 1:
		glyph, style := d.marks.Of(use.Bound[0])
		return machine.Cell{Glyph: glyph, Style: style}
	case use.Taken:
		return machine.Cell{Glyph: 'x', Style: screen.Dim, Meaning: "another user's task"}
	case len(use.Drifting) > 0:
		return machine.Cell{Glyph: '!', Style: screen.Red, Meaning: "used, but not owned"}
	case d.Reserved.Contains(cpu.Index):
		return machine.Cell{Glyph: '=', Style: screen.Yellow, Meaning: "reserved by Nomad for others"}
	case use.Idle != nil:
		return machine.Cell{Glyph: '-', Style: screen.Dim, Meaning: "idle sibling"}
	case use.Blocked:
		return machine.Cell{Glyph: '-', Style: screen.Yellow, Meaning: "idle sibling"}
	case d.Usable.Contains(cpu.Index):
		return machine.Cell{Glyph: d.screen.Pick('·', '.'), Style: screen.Green, Meaning: "free"}
	case d.Topology.Isolated.Contains(cpu.Index):
		return machine.Isolated
	}
	return machine.Cell{Glyph: '/', Style: screen.Dim, Meaning: "not given out"}
}

// caption counts the free cores of a node.
func (d *statusDrawing) caption(cpus cpuset.Set) string {
	free := d.Usable.Difference(d.Reserved).Intersect(cpus)
	for cpu := range cpus.All() {
		if t, _ := d.Use(cpu).Owner(); t != nil || d.Use(cpu).Taken {
			free.Remove(cpu)
		}
	}
	all := machine.CountCores(d.Topology, cpus)
	whole := 0
	for _, core := range d.Topology.CoreSets() {
		if core.Overlaps(cpus) && core.Intersect(d.Usable).SubsetOf(free) && core.Overlaps(free) {
			whole++
		}
	}
	return fmt.Sprintf("%d of %d free", whole, all)
}

// table lists the live tasks. The allocation's id goes last of what may go: with it Nomad
// is asked for more.
func (d *statusDrawing) table() []screen.Line {
	t := screen.Table{Columns: []screen.Column{
		{Title: "", Keep: true},
		{Title: "JOB", Keep: true, Least: 8},
		{Title: "TASK", Least: 6, Rank: 7},
		{Title: "ALLOC", Rank: 8},
		{Title: "PID", Right: true, Rank: 2},
		{Title: "CORES", Keep: true, Least: 7},
		{Title: "PROGRESS", Keep: true, Least: 11},
		{Title: "ETA", Right: true, Keep: true},
		{Title: "BETWEEN"},
		{Title: "TIME", Right: true, Rank: 6},
		{Title: "CYCLE", Right: true, Rank: 3},
		{Title: "RUNNING", Right: true, Rank: 5},
		{Title: "ERRORS", Right: true, Rank: 1},
		{Title: "WARNINGS", Right: true},
	}}
	for _, task := range d.Live() {
		t.Rows = append(t.Rows, d.row(task))
	}
	return t.Fit(d.screen.Width)
}

func (d *statusDrawing) row(t *node.Task) []screen.Line {
	glyph, style := d.marks.Of(t)
	pid := "-"
	if t.Process.PID != 0 {
		pid = strconv.Itoa(t.Process.PID)
	}
	none := screen.Text("-")
	row := []screen.Line{
		screen.Styled(style, string(glyph)), screen.Text(screen.Clean(t.Job())), screen.Text(screen.Clean(t.ID.Task)),
		screen.Text(screen.Clean(shortID(t.ID.Alloc))), screen.Text(pid), screen.Text(formatCores(t, d.screen.Width)), d.progressCell(t, style),
		none, none, none, none, screen.Text(screen.Duration(t.Running(d.Now))), none, none,
	}
	if !t.Progress.Known {
		return row
	}
	snap := &t.Progress.Snapshot
	if eta, low, high := snap.ETA(); eta != nil {
		row[7], row[8] = screen.Text(screen.Seconds(eta)), screen.Text(screen.Between(low, high))
	}
	if snap.HasTime {
		row[9] = screen.Text(fmt.Sprintf("%.4g", snap.Time))
		if snap.EndTime > 0 && !snap.Relaxing {
			row[9] = screen.Text(fmt.Sprintf("%.4g of %.4g", snap.Time, snap.EndTime))
		}
		row[10] = screen.Text(screen.Number(&snap.Cycle))
	}
	if len(snap.Sources) > 0 {
		row[12], row[13] = screen.Text(screen.Number(&snap.Errors)), screen.Text(screen.Number(&snap.Warnings))
	}
	if snap.Errors > 0 {
		row[12][0].Style = screen.Red
	}
	return row
}

// progressCell is a bar, or what the run does where there is no bar to draw yet.
func (d *statusDrawing) progressCell(t *node.Task, mark screen.Style) screen.Line {
	done, ok := node.Ratio(&t.Progress.Snapshot)
	switch {
	case !t.Progress.Known:
		return screen.Text("not known")
	case !ok:
		return screen.Text(node.Activity(&t.Progress.Snapshot, d.screen.Width < roomForUnit))
	}
	width := min(max(d.screen.Width/5, 10), 24)
	l := d.screen.Bar(done, width, barStyle(mark))
	l.Add(screen.Plain, fmt.Sprintf(" %3d %%", int(done*100)))
	return l
}

// barStyle is the colour of a task's mark as a foreground.
func barStyle(mark screen.Style) screen.Style {
	for part := range strings.SplitSeq(string(mark), ";") {
		switch {
		case len(part) == 2 && part[0] == '4':
			return screen.Style("3" + part[1:])
		case len(part) == 3 && strings.HasPrefix(part, "10"):
			return screen.Style("9" + part[2:])
		}
	}
	return screen.Plain
}

// loss says what of a task is lost with its machine.
func (d *statusDrawing) loss(t *node.Task) string { return t.Loss(d.Now) }

// perTask says of tasks what there is to say beside the table: how they use their cores and where, which part they have of
// runs on several nodes, or of a process that makes several, and what would be lost.
func (d *statusDrawing) perTask(say func(*node.Task) string) []screen.Line {
	var lines []screen.Line
	for _, t := range d.Live() {
		share := say(t)
		if share == "" {
			continue
		}
		if lines == nil {
			lines = append(lines, nil)
		}
		glyph, style := d.marks.Of(t)
		wrapped := screen.Wrap(screen.Clean(share), d.screen.Width-shareIndent, 0)
		for i, l := range wrapped {
			line := screen.Text(strings.Repeat(" ", shareIndent))
			if i == 0 {
				line = screen.Styled(style, string(glyph))
				line.Add(screen.Plain, strings.Repeat(" ", shareIndent-1))
			}
			lines = append(lines, append(line, l...))
		}
	}
	return lines
}

// shareIndent is where the table's second column begins.
const shareIndent = 3

func formatCores(t *node.Task, width int) string {
	list := t.Cores.String()
	switch {
	case !t.Pinned:
		return "any"
	case len(list) > longCores && width < roomForUnit:
		return fmt.Sprintf("%d CPUs", t.Cores.Len())
	case len(list) > longCores:
		return fmt.Sprintf("%d in %d-%d", t.Cores.Len(), t.Cores.First(), t.Cores.Last())
	}
	return list
}

// longCores is the longest list of cores in the table. More of it, as on machines whose
// hyper-threads are numbered one by one, would push out the allocation; where a task's
// cores are is drawn above the table.
const longCores = 14

// ended names tasks that are over and that Nomad has not collected.
func (d *statusDrawing) ended() []screen.Line {
	var lines []screen.Line
	for _, t := range d.Tasks {
		if t.Live() {
			continue
		}
		if lines == nil {
			lines = append(lines, nil, screen.Styled(screen.Bold, "Ended, not collected by Nomad yet"))
		}
		text := fmt.Sprintf("%s/%s  %s", screen.Clean(t.Job()), screen.Clean(t.ID.Task), describeExit(t))
		lines = append(lines, screen.Wrap(text, d.screen.Width, 4)...)
	}
	return lines
}

func describeExit(t *node.Task) string {
	e := t.Exit
	switch {
	case e == nil:
		return "exit status unknown"
	case e.LaunchError != "":
		return "not started: " + screen.Clean(e.LaunchError)
	}
	text := fmt.Sprintf("exit code %d", e.Code)
	if e.Signal != 0 {
		text = fmt.Sprintf("ended by signal %d", e.Signal)
		if name := unix.SignalName(syscall.Signal(e.Signal)); name != "" {
			text += " (" + name + ")"
		}
	}
	if e.OOMKilled {
		text += ", out of memory"
	}
	return text + " at " + e.FinishedAt.Local().Format(time.DateTime)
}

// notes says what is not as it should be.
func (d *statusDrawing) notes() []screen.Line {
	var lines []screen.Line
	add := func(mark, note string) {
		if lines == nil {
			lines = append(lines, nil)
		}
		for i, l := range screen.Wrap(mark+screen.Clean(note), d.screen.Width, len(mark)) {
			if i == 0 && len(l) > 0 {
				l[0].Style = screen.Yellow
			}
			lines = append(lines, l)
		}
	}
	for _, t := range d.Live() {
		glyph, _ := d.marks.Of(t)
		for _, note := range t.Notes {
			add(string(glyph)+": ", note)
		}
		if p := &t.Progress; p.Known && p.Snapshot.NoETA != "" && t.Running(d.Now) > time.Minute {
			add(string(glyph)+": ", "no estimate of the time left: "+p.Snapshot.NoETA)
		}
		if t.Progress.Known {
			for _, note := range t.Health(d.Now).Notes {
				add(string(glyph)+": ", note)
			}
		}
	}
	for _, note := range d.State.Notes {
		add("Note: ", note)
	}
	return lines
}

// fewRuns is how many runs of a folder status names; inspect and JSON have more.
const fewRuns = 4

// lastRuns says of tasks that were started several times how each run began and ended.
func (d *statusDrawing) lastRuns() []screen.Line {
	var lines []screen.Line
	for _, t := range d.Live() {
		runs := t.Progress.LastRuns
		if len(runs) < 2 {
			continue
		}
		glyph, _ := d.marks.Of(t)
		lines = append(lines, nil, screen.Styled(screen.Bold, string(glyph)+": runs in its folder"))
		for _, run := range runs[max(len(runs)-fewRuns, 0):] {
			lines = append(lines, screen.Wrap(screen.Clean(run.String()), d.screen.Width, 3)...)
		}
	}
	return lines
}

// shortID is how Nomad's own command line writes ids.
func shortID(id string) string {
	if len(id) > 8 {
		return id[:8]
	}
	return id
}
