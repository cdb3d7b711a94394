// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package machine draws a machine as text.
package machine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
)

// Cell is how one CPU is drawn.
type Cell struct {
	Glyph   rune
	Style   screen.Style
	Meaning string // for the legend; "" where it is not in the legend
}

// Drawing draws a machine: a column for each physical core, a row for each
// hardware thread, grouped by socket, NUMA node, kind of core and L3 cache.
type Drawing struct {
	Topology *topology.Topology
	Screen   screen.Screen
	Cell     func(topology.CPU) Cell
	Caption  func(cpuset.Set) string // beside the name of a node; nil for none

	legend []Cell // in the order in which cells were met
	spaced bool   // a blank between cells: machines small enough for it
	inline bool   // nodes named beside their rows: machines with many of them
}

// segmentCores is how many cores stand together before a gap, so that the eye
// can count them.
const segmentCores = 8

// segment is a few cores that stay on one line.
type segment struct {
	cores []cpuset.Set // the CPUs of each core
	first bool         // of its L3 cache
	whole int          // cells of the whole L3 group, in the first segment
}

// Draw returns the drawing and its legend.
func (d *Drawing) Draw() []screen.Line {
	var blocks []block
	for _, id := range d.Topology.PackageIDs() {
		blocks = append(blocks, d.blocks(id)...)
	}
	d.chooseForm(blocks)
	var lines []screen.Line
	for _, b := range blocks {
		lines = append(lines, d.drawBlock(b)...)
	}
	lines = append(lines, d.drawOffline()...)
	return append(lines, d.drawLegend()...)
}

// chooseForm finds the form that suits the machine and the screen. Nodes are named
// beside their rows where there are many and all of it fits: the drawing is a third
// shorter then.
func (d *Drawing) chooseForm(blocks []block) {
	d.spaced, d.inline = true, false
	widest := func() (cells, caption int) {
		for _, b := range blocks {
			cells = max(cells, d.lineWidth(d.segments(b)))
			caption = max(caption, len(b.caption))
		}
		return cells, caption
	}
	for _, b := range blocks {
		d.spaced = d.spaced && len(b.cores) <= 4*segmentCores
	}
	if cells, _ := widest(); cells > d.room() {
		d.spaced = false
	}
	if len(blocks) <= 2 || d.Topology.Hybrid() {
		return
	}
	d.inline = true
	if cells, caption := widest(); cells+captionGap+caption > d.room() {
		d.inline = false
	}
}

const captionGap = 3

// block is the cores of one kind in one NUMA node of one package.
type block struct {
	pkg     int
	node    int
	first   bool // of its package
	head    bool // false for a further kind in the same node
	caption string
	kind    string // "" where the machine has one kind
	cores   []cpuset.Set
}

// blocks splits a package.
func (d *Drawing) blocks(pkg int) []block {
	set := d.Topology.PackageSet(pkg)
	nodes := d.Topology.NodesOf(set)
	var blocks []block
	for i, node := range nodes {
		in := cpuset.Set{}
		for cpu := range set.All() {
			if c, _ := d.Topology.CPU(cpu); c.NUMANode == node {
				in.Add(cpu)
			}
		}
		blocks = append(blocks, d.splitKinds(block{pkg: pkg, node: node, first: i == 0, head: true}, in)...)
	}
	return blocks
}

// splitKinds splits a node by the kind of its cores.
func (d *Drawing) splitKinds(first block, in cpuset.Set) []block {
	if d.Caption != nil {
		first.caption = d.Caption(in)
	}
	if !d.Topology.Hybrid() {
		first.cores = d.coresOf(in, topology.Performance)
		return []block{first}
	}
	first.kind, first.cores = "fast", d.coresOf(in, topology.Performance)
	slow := block{kind: "slow", cores: d.coresOf(in, topology.Efficiency)}
	switch {
	case len(first.cores) == 0:
		first.kind, first.cores = slow.kind, slow.cores
		return []block{first}
	case len(slow.cores) == 0:
		return []block{first}
	}
	return []block{first, slow}
}

// coresOf returns the cores of one kind among CPUs, by L3 cache and then by
// their first CPU.
func (d *Drawing) coresOf(in cpuset.Set, kind topology.Kind) []cpuset.Set {
	var cores []cpuset.Set
	for _, core := range d.Topology.CoreSets() {
		if cpu, ok := d.Topology.CPU(core.First()); ok && in.Contains(cpu.Index) && cpu.Kind == kind {
			cores = append(cores, core)
		}
	}
	slices.SortStableFunc(cores, func(a, b cpuset.Set) int {
		if la, lb := d.l3(a), d.l3(b); la != lb {
			return la - lb
		}
		return a.First() - b.First()
	})
	return cores
}

func (d *Drawing) l3(core cpuset.Set) int {
	cpu, _ := d.Topology.CPU(core.First())
	return cpu.L3
}

// segments cuts a block's cores into pieces.
func (d *Drawing) segments(b block) []segment {
	var segs []segment
	last := 0 // the first segment of the current cache
	for i, core := range b.cores {
		fresh := i == 0 || d.l3(core) != d.l3(b.cores[i-1])
		if fresh || len(segs[len(segs)-1].cores) == segmentCores {
			segs = append(segs, segment{first: fresh})
		}
		if fresh {
			last = len(segs) - 1
		}
		segs[len(segs)-1].cores = append(segs[len(segs)-1].cores, core)
		segs[last].whole = d.lineWidth(segs[last:])
	}
	return segs
}

// lineWidth is the number of columns that segments take side by side.
func (d *Drawing) lineWidth(segs []segment) int {
	n := 0
	for i, s := range segs {
		if i > 0 {
			n += len(d.gap(s))
		}
		n += len(s.cores)
		if d.spaced {
			n += len(s.cores) - 1
		}
	}
	return n
}

// gap is what stands before a segment that is not the first of its line.
func (d *Drawing) gap(s segment) string {
	switch {
	case s.first:
		return " | "
	case d.spaced:
		return "  "
	}
	return " "
}

// labelWidth is the room for a row's CPU numbers, with indent and gap.
func (d *Drawing) labelWidth() int {
	digits := len(strconv.Itoa(max(d.Topology.CPUs[len(d.Topology.CPUs)-1].Index, 10)))
	kind := 0
	if d.Topology.Hybrid() {
		kind = len("fast ")
	}
	if d.inline {
		kind += d.nodeWidth()
	}
	return len("  cpu ") + kind + 2*digits + 1 + 2
}

// nodeWidth is the room for a node's name beside its rows.
func (d *Drawing) nodeWidth() int {
	return len("node   ") + len(strconv.Itoa(d.Topology.Nodes[len(d.Topology.Nodes)-1].ID))
}

// room is how many columns are left for cells.
func (d *Drawing) room() int {
	return max(d.Screen.Width-d.labelWidth(), segmentCores)
}

// rows distributes segments over as few lines as the screen allows, of much the
// same length.
func (d *Drawing) rows(segs []segment) [][]segment {
	room := d.room()
	rows := d.rowsWithin(segs, room)
	for len(rows) > 1 && room > segmentCores {
		widest := 0
		for _, row := range rows {
			widest = max(widest, d.lineWidth(row))
		}
		room = min(room, widest) - 1
		shorter := d.rowsWithin(segs, room)
		if len(shorter) > len(rows) {
			break
		}
		rows = shorter
	}
	return rows
}

// rowsWithin fills lines of a width; a cache's cores stay together where they fit
// on one line.
func (d *Drawing) rowsWithin(segs []segment, room int) [][]segment {
	var rows [][]segment
	var row []segment
	for _, s := range segs {
		wider := d.lineWidth(append(slices.Clip(row), s))
		split := s.first && wider-d.lineWidth([]segment{s})+s.whole > room && s.whole <= room
		if len(row) > 0 && (wider > room || split) {
			rows = append(rows, row)
			row = nil
		}
		row = append(row, s)
	}
	if len(row) > 0 {
		rows = append(rows, row)
	}
	return rows
}

func (d *Drawing) drawBlock(b block) []screen.Line {
	lines := d.drawHead(b)
	for i, row := range d.rows(d.segments(b)) {
		threads := 0
		name := ""
		if i == 0 && d.inline {
			name = fmt.Sprintf("node %d", b.node)
		}
		for _, s := range row {
			for _, core := range s.cores {
				threads = max(threads, core.Len())
			}
		}
		for thread := range threads {
			l := d.drawRow(name, b.kind, row, thread)
			if name != "" && b.caption != "" {
				l.Add(screen.Plain, strings.Repeat(" ", captionGap))
				l.Add(screen.Dim, b.caption)
			}
			lines = append(lines, l)
			name = ""
		}
	}
	return lines
}

// drawHead names what the rows below it belong to.
func (d *Drawing) drawHead(b block) []screen.Line {
	var l screen.Line
	switch {
	case !b.head, d.inline && !b.first:
		return nil
	case d.inline:
		l.Add(screen.Bold, fmt.Sprintf("Socket %d", b.pkg))
		return []screen.Line{l}
	case b.first:
		l.Add(screen.Bold, fmt.Sprintf("Socket %d, NUMA node %d", b.pkg, b.node))
	default:
		l.Add(screen.Bold, fmt.Sprintf("          NUMA node %d", b.node))
	}
	if b.caption != "" {
		l.Add(screen.Plain, strings.Repeat(" ", captionGap))
		l.Add(screen.Dim, b.caption)
	}
	return []screen.Line{l.Cut(d.Screen.Width)}
}

// drawRow draws one hardware thread of the cores of a line.
func (d *Drawing) drawRow(name, kind string, row []segment, thread int) screen.Line {
	var cells screen.Line
	var cpus []int
	for i, s := range row {
		if i > 0 {
			cells.Add(screen.Dim, d.gap(s))
		}
		before := screen.Plain
		for j, core := range s.cores {
			c := Cell{Glyph: ' '}
			if siblings := core.Slice(); thread < len(siblings) {
				cpu, _ := d.Topology.CPU(siblings[thread])
				cpus = append(cpus, cpu.Index)
				c = d.Cell(cpu)
				d.addLegend(c)
			}
			if j > 0 && d.spaced {
				between := screen.Plain
				if c.Style == before {
					between = c.Style // a task's colour runs through
				}
				cells.Add(between, " ")
			}
			cells.Add(c.Style, string(c.Glyph))
			before = c.Style
		}
	}
	label := "  "
	if d.inline {
		label += fmt.Sprintf("%-*s", d.nodeWidth(), name)
	}
	if kind != "" {
		label += kind + " "
	}
	label += "cpu " + fromTo(cpus)
	l := screen.Styled(screen.Dim, fmt.Sprintf("%-*s", d.labelWidth(), label))
	return append(l, cells...)
}

// fromTo names the CPUs of a row by the first and the last: "8-15", or "8..22"
// where not all between belong to it.
func fromTo(cpus []int) string {
	first, last := slices.Min(cpus), slices.Max(cpus)
	switch {
	case first == last:
		return strconv.Itoa(first)
	case last-first == len(cpus)-1:
		return fmt.Sprintf("%d-%d", first, last)
	}
	return fmt.Sprintf("%d..%d", first, last)
}

func (d *Drawing) drawOffline() []screen.Line {
	var offline cpuset.Set
	for _, cpu := range d.Topology.CPUs {
		if !cpu.Online {
			offline.Add(cpu.Index)
		}
	}
	if offline.IsEmpty() {
		return nil
	}
	lines := []screen.Line{screen.Styled(screen.Bold, "Offline")}
	words := fmt.Sprintf("cpu %s (%s)", offline, screen.Plural(offline.Len(), "CPU"))
	for _, l := range screen.Wrap(words, d.Screen.Width-2, 4) {
		lines = append(lines, append(screen.Text("  "), l...))
	}
	return lines
}
