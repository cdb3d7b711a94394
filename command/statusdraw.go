// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
)

// taskLetters mark tasks in the drawing. Those behind the last get moreTasks.
const (
	taskLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwyz"
	moreTasks   = '@'
)

// letters are the marks of tasks by the folder of their record. A task keeps its
// mark from one drawing to the next.
type letters map[string]int

// assign gives a mark to every task that has none, and takes those of tasks
// that are gone back.
func (k letters) assign(tasks []*task) {
	here, used := map[string]bool{}, map[int]bool{}
	for _, t := range tasks {
		here[t.dir] = true
	}
	for dir, n := range k {
		if !here[dir] {
			delete(k, dir)
			continue
		}
		used[n] = true
	}
	next := 0
	for _, t := range tasks {
		if _, ok := k[t.dir]; ok {
			continue
		}
		for used[next] {
			next++
		}
		k[t.dir], used[next] = next, true
	}
}

func (k letters) mark(t *task) (rune, style) {
	n := k[t.dir]
	st := taskStyles[n%len(taskStyles)]
	if n >= len(taskLetters) {
		return moreTasks, st
	}
	return rune(taskLetters[n]), st
}

// drawStatus draws the machine, and below it the tasks and what is wrong.
func drawStatus(s *survey, screen screen, known letters) (machine, rest []line) {
	live := s.live()
	known.assign(live)
	machine = wrap(describeMachine(s.topo), screen.width, 0)
	machine = append(machine, freeLine(s).cut(screen.width), nil)
	d := drawing{topo: s.topo, screen: screen, cell: s.cell(screen, known), caption: s.caption}
	machine = append(machine, d.draw()...)
	rest = []line{nil}
	if len(live) == 0 {
		rest = append(rest, text("No task runs."))
	} else {
		rest = append(rest, s.taskTable(screen, known)...)
	}
	rest = append(rest, s.ended(screen)...)
	return machine, append(rest, s.troubles(screen, known)...)
}

func freeLine(s *survey) line {
	l := line{}
	l.add(bold, plural(s.available, "core")+" free")
	unit := "whole cores, siblings stay idle"
	if s.opts.SMT == allocator.SMTShare {
		unit = "logical CPUs"
	}
	if s.topo.HyperThreading() {
		l.add(plain, " ("+unit+")")
	}
	l.add(plain, fmt.Sprintf(", %s", plural(len(s.live()), "task")))
	return l
}

// cell draws one CPU by who has it.
func (s *survey) cell(screen screen, known letters) func(topology.CPU) cell {
	return func(cpu topology.CPU) cell {
		owners := s.owners[cpu.Index]
		switch {
		case len(owners) > 1:
			return cell{'#', red, "claimed by two tasks"}
		case len(owners) == 1:
			glyph, st := known.mark(owners[0])
			return cell{glyph, st, ""}
		case len(s.drifters[cpu.Index]) > 0:
			return cell{'!', red, "used, but not owned"}
		case s.reserved.Contains(cpu.Index):
			return cell{'=', yellow, "reserved by Nomad for others"}
		case s.idle[cpu.Index] != nil:
			return cell{'-', dim, "idle sibling"}
		case s.blocked.Contains(cpu.Index):
			return cell{'-', yellow, "idle sibling"}
		case s.usable.Contains(cpu.Index):
			return cell{screen.pick('·', '.'), green, "free"}
		case s.topo.Isolated.Contains(cpu.Index):
			return isolatedCell
		}
		return cell{'/', dim, "not given out"}
	}
}

// caption counts the free cores of a node.
func (s *survey) caption(cpus cpuset.Set) string {
	free := s.usable.Difference(s.reserved).Intersect(cpus)
	for cpu := range cpus.All() {
		if t, _ := s.owner(cpu); t != nil {
			free.Remove(cpu)
		}
	}
	all := coresAmong(s.topo, cpus)
	whole := 0
	for _, core := range s.topo.CoreSets() {
		if core.Overlaps(cpus) && core.Intersect(s.usable).SubsetOf(free) && core.Overlaps(free) {
			whole++
		}
	}
	return fmt.Sprintf("%d of %d free", whole, all)
}

// taskTable lists the live tasks.
func (s *survey) taskTable(screen screen, known letters) []line {
	t := table{columns: []column{
		{title: "", keep: true}, {title: "JOB", keep: true, least: 8}, {title: "TASK", least: 6, rank: 7},
		{title: "ALLOC", rank: 4}, {title: "PID", right: true, rank: 2},
		{title: "CORES", keep: true, least: 7}, {title: "PROGRESS", keep: true, least: 16},
		{title: "ETA", right: true, keep: true}, {title: "TIME", right: true, rank: 6},
		{title: "CYCLE", right: true, rank: 3}, {title: "RUNNING", right: true, rank: 5},
		{title: "ERRORS", right: true, rank: 1}, {title: "WARNINGS", right: true},
	}}
	for _, task := range s.live() {
		t.rows = append(t.rows, s.taskRow(task, screen, known))
	}
	return t.lay(screen.width)
}

func (s *survey) taskRow(t *task, screen screen, known letters) []line {
	glyph, st := known.mark(t)
	p := s.progress[t]
	snap := p.snapshot
	row := []line{
		{{string(glyph), st}}, text(clean(t.job())), text(clean(t.id.Task)), text(clean(shortID(t.id.Alloc))),
		text(number(positive(t.process.PID))), text(coreWords(t)), s.progressCell(t, screen, st),
		text("-"), text("-"), text("-"), text(duration(t.running(s.now))), text("-"), text("-"),
	}
	if !p.read {
		return row
	}
	if snap.HasETA {
		row[7] = text(duration(snap.Remaining))
	}
	if snap.HasTime {
		row[8] = text(fmt.Sprintf("%.4g", snap.Time))
		if snap.EndTime > 0 {
			row[8] = text(fmt.Sprintf("%.4g of %.4g", snap.Time, snap.EndTime))
		}
		row[9] = text(number(&snap.Cycle))
	}
	if len(snap.Sources) > 0 {
		row[11], row[12] = text(number(&snap.Errors)), text(number(&snap.Warnings))
	}
	if snap.Errors > 0 {
		row[11][0].style = red
	}
	return row
}

// progressCell is a bar, or words where there is no bar to draw yet.
func (s *survey) progressCell(t *task, screen screen, st style) line {
	p := s.progress[t]
	done, ok := ratio(p.snapshot)
	switch {
	case !p.read:
		return text("not known")
	case !ok:
		return text(phaseWords(p.snapshot))
	}
	width := min(max(screen.width/5, 10), 24)
	l := screen.bar(done, width, barStyle(st))
	l.add(plain, fmt.Sprintf(" %3d %%", int(done*100)))
	return l
}

// barStyle is the colour of a task's mark as a foreground.
func barStyle(mark style) style {
	for _, part := range strings.Split(string(mark), ";") {
		switch {
		case len(part) == 2 && part[0] == '4':
			return style("3" + part[1:])
		case len(part) == 3 && strings.HasPrefix(part, "10"):
			return style("9" + part[2:])
		}
	}
	return plain
}

func coreWords(t *task) string {
	if !t.pinned {
		return "any"
	}
	return t.cores.String()
}

// ended names tasks that are over and that Nomad has not collected.
func (s *survey) ended(screen screen) []line {
	var lines []line
	for _, t := range s.tasks {
		if t.live() {
			continue
		}
		if lines == nil {
			lines = append(lines, nil, line{{"Ended, not collected by Nomad yet", bold}})
		}
		words := fmt.Sprintf("%s/%s  %s", clean(t.job()), clean(t.id.Task), exitWords(t))
		lines = append(lines, wrap(words, screen.width, 4)...)
	}
	return lines
}

func exitWords(t *task) string {
	e := t.exit
	switch {
	case e == nil:
		return "exit status unknown"
	case e.LaunchError != "":
		return "not started: " + clean(e.LaunchError)
	}
	words := fmt.Sprintf("exit code %d", e.Code)
	if e.Signal != 0 {
		words = fmt.Sprintf("ended by signal %d", e.Signal)
		if name := unix.SignalName(syscall.Signal(e.Signal)); name != "" {
			words += " (" + name + ")"
		}
	}
	if e.OOMKilled {
		words += ", out of memory"
	}
	return words + " at " + e.FinishedAt.Local().Format(time.DateTime)
}

// troubles says what is not as it should be.
func (s *survey) troubles(screen screen, known letters) []line {
	var lines []line
	say := func(mark, words string) {
		if lines == nil {
			lines = append(lines, nil)
		}
		for i, l := range wrap(mark+clean(words), screen.width, len(mark)) {
			if i == 0 && len(l) > 0 {
				l[0].style = yellow
			}
			lines = append(lines, l)
		}
	}
	for _, t := range s.live() {
		glyph, _ := known.mark(t)
		for _, note := range t.notes {
			say(string(glyph)+": ", note)
		}
	}
	for _, note := range s.notes {
		say("Note: ", note)
	}
	return lines
}

// runDir is the run folder's path, for people.
func runDir(t *task) string {
	if t.details.RunBase == "" {
		return ""
	}
	return filepath.Join(t.details.RunBase, t.details.RunFolder)
}
