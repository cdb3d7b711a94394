// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package page

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/health"
)

// view is the page as the template wants it: texts that are clean and cut.
type view struct {
	Title, Over      string
	Style            template.CSS // our own
	StyleHash        string
	Outcome          outcome
	Bar              *bar
	Key              []fact
	Charts           []drawing
	Errors, Warnings []problem
	ErrorsNote       string
	WarningsNote     string
	Machine          *machine
	Dumps            []dump
	DumpsNote        string
	Events           []event
	Runs             []run
	Facts            []fact
	CommandLine      string
	Files            []file
	FilesNote        string
	Footer           string
}

type outcome struct {
	Class, Word, Reason string
	Notes               []string // what is out of the ordinary
}

type bar struct {
	Done       int // of 1000
	Text, Left string
}

type fact struct{ Name, Text, More string }

type problem struct{ Name, Text, Count string }

type dump struct{ Name, Time, Cycle, Written, Size string }

type event struct{ Time, Text string }

type run struct{ Started, Began, Ended, Outcome, Reason string }

type file struct{ Name, Size, Written string }

// Bounds of a page's tables.
const (
	maxWarnings = 20
	maxDumps    = 40
	maxEvents   = 100
	maxFiles    = 40
	maxRuns     = 20
)

// words of the outcomes.
var words = map[output.Kind]string{
	output.Completed: "Completed", output.Stopped: "Stopped", output.Failed: "Failed", output.LicenceError: "No licence",
	output.Killed: "Killed", output.Running: "Running", output.Unknown: "Not known",
}

// ClassOf is the class of an outcome, which is one of the style sheet's.
func (v *view) ClassOf(kind string) string { return classOf(output.Kind(kind)) }

func classOf(kind output.Kind) string {
	if _, ok := words[kind]; ok {
		return string(kind)
	}
	return string(output.Unknown)
}

func (p *Page) view() *view {
	r := &p.Report
	v := &view{
		Title: cmp.Or(clean(p.Title, maxText), "run"), Over: p.over(), Style: template.CSS(style), StyleHash: styleHash(), //nolint:gosec // our own
		Outcome: outcome{classOf(r.Outcome), cmp.Or(words[r.Outcome], "Not known"), clean(r.Reason, maxLong), notes(r.Health)},
		Bar:     p.bar(), Key: p.key(), Charts: p.charts(), Machine: p.Machine.view(),
		Facts: p.facts(), CommandLine: clean(p.CommandLine, maxLong),
		Footer: fmt.Sprintf("Made by %s at %s. This file needs no network and no server.", clean(cmp.Or(p.Program, "nomad-driver-lsdyna"), maxText), localTime(p.Made)),
	}
	p.addProblems(v)
	p.addDumps(v)
	p.addFiles(v)
	for _, e := range p.Events[max(0, len(p.Events)-maxEvents):] {
		v.Events = append(v.Events, event{localTime(e.At), clean(e.Text, maxLong)})
	}
	for _, past := range r.LastRuns[max(0, len(r.LastRuns)-maxRuns):] {
		v.Runs = append(v.Runs, runOf(past))
	}
	return v
}

// notes is what is out of the ordinary in a run's energies, mass and time step.
func notes(h *health.Health) (texts []string) {
	if h == nil {
		return nil
	}
	for _, note := range h.Notes {
		texts = append(texts, clean(note, maxText))
	}
	return texts
}

// over is what stands above the title.
func (p *Page) over() string {
	var parts []string
	if p.Place.Job != "" {
		parts = append(parts, "job "+clean(p.Place.Job, maxText))
	}
	if p.Place.Alloc != "" {
		parts = append(parts, "allocation "+clean(p.Place.Alloc, len("3f1c2a9b")))
	}
	if host := cmp.Or(p.Place.Node, p.Place.Host); host != "" {
		parts = append(parts, "on "+clean(host, maxText))
	}
	return strings.ReplaceAll(strings.Join(parts, ", "), "…,", ",")
}

// bar is how far the run is; nil where that is not known. A dynamic relaxation has a time of
// its own.
func (p *Page) bar() *bar {
	r := &p.Report
	if r.Relaxing || r.Time == nil || r.EndTime == nil || !(*r.EndTime > 0) || !(*r.Time >= 0) {
		return nil
	}
	done := min(*r.Time / *r.EndTime, 1)
	b := &bar{Done: int(math.Round(1000 * done)), Text: fmt.Sprintf("%.0f %% of the problem time: t = %s of %s", math.Floor(100*done), number(*r.Time), number(*r.EndTime))}
	if done > .9995 {
		b.Text = fmt.Sprintf("100 %% of the problem time: t = %s of %s", number(*r.Time), number(*r.EndTime))
	}
	switch {
	case r.ETASeconds != nil:
		b.Left = fmt.Sprintf("about %s left (%s to %s)", duration(*r.ETASeconds), duration(*r.ETALowSeconds), duration(*r.ETAHighSeconds))
	case r.NoETA != nil:
		b.Left = "no estimate: " + clean(*r.NoETA, maxText)
	}
	return b
}

// key is the numbers that people look for first.
func (p *Page) key() []fact {
	r, s := &p.Report, &p.Snapshot
	var facts []fact
	add := func(name, text, more string) {
		if text != "" {
			facts = append(facts, fact{name, text, more})
		}
	}
	if r.EndTime != nil {
		add("End time", number(*r.EndTime), "problem time")
	}
	switch {
	case r.Time != nil && r.Relaxing:
		add("Dynamic relaxation", number(*r.Time), "its own problem time")
	case r.Time != nil:
		add("Reached", number(*r.Time), "problem time")
	}
	if r.Cycle != nil {
		add("Cycles", count(*r.Cycle), rate(s.CyclesPerSecond))
	}
	if r.ElapsedSeconds != nil {
		add("Elapsed", duration(*r.ElapsedSeconds), "wall time")
	}
	if r.ETASeconds != nil {
		add("Time left", "≈ "+duration(*r.ETASeconds), fmt.Sprintf("%s to %s, four runs of five", duration(*r.ETALowSeconds), duration(*r.ETAHighSeconds)))
		if _, last := s.History.Span(); last.Wall > 0 {
			at := time.Unix(last.Wall, 0).Add(time.Duration(*r.ETASeconds * float64(time.Second))).UTC()
			add("Expected end", at.Format("15:04"), at.Format("2006-01-02")+", solver’s clock")
		}
	}
	if r.Errors != nil {
		add("Errors", count(*r.Errors), "")
	}
	if r.Warnings != nil {
		add("Warnings", count(*r.Warnings), "")
	}
	if r.Processors != nil {
		add("Processors", count(int64(*r.Processors)), strings.ToUpper(clean(text(r.Parallel), maxText)))
	}
	return facts
}

func rate(perSecond float64) string {
	if !(perSecond > 0) {
		return ""
	}
	return number(perSecond) + " a second"
}

// text is what a pointer leads to; "" for nil.
func text[T ~string](p *T) string {
	if p == nil {
		return ""
	}
	return string(*p)
}

// facts is what else is known of the run.
func (p *Page) facts() []fact {
	r, s, at := &p.Report, &p.Snapshot, &p.Place
	var facts []fact
	add := func(name, said string) {
		if said = clean(said, maxText); said != "" {
			facts = append(facts, fact{Name: name, Text: said})
		}
	}
	solver := strings.TrimSpace("LS-DYNA " + text(r.Version))
	if s.Revision != "" && s.Revision != text(r.Version) {
		solver += " (" + s.Revision + ")"
	}
	if r.Version != nil || at.Solver != "" {
		add("Solver", solver)
	}
	add("Configured as", at.Solver)
	if r.Precision != nil {
		add("Precision", string(*r.Precision))
	}
	if s.LicenceKind != "" {
		add("Licence", s.LicenceKind)
	}
	add("User", at.User)
	add("Host", at.Host)
	add("Nomad node", at.Node)
	add("Namespace", at.Namespace)
	add("Job", at.Job)
	add("Allocation", at.Alloc)
	add("Task", at.Task)
	add("Nodes", text(r.NodesText))
	add("Stopped by", text(r.NodesStop))
	if at.Cores != "" {
		add("Bound to", "CPU "+at.Cores) // a list, such as 0-3
	}
	if !s.Started.IsZero() {
		add("Started", solverTime(s.Started)+" (solver’s clock)")
	}
	if !at.Started.IsZero() {
		add("Task started", localTime(at.Started))
	}
	if !at.Ended.IsZero() {
		add("Task ended", localTime(at.Ended))
	}
	add("Exit", at.Exit)
	if r.RestartFile != nil {
		add("Restart with", "r="+*r.RestartFile)
	}
	add("Outputs read", strings.Join(s.Sources, ", "))
	add("Folder", at.Path)
	add("Last words", s.LastWords)
	return facts
}

func runOf(past output.PastRun) run {
	r := run{Started: localTime(past.Started), Began: clean(past.Began, maxLong), Ended: "–", Reason: clean(past.Reason, maxLong)}
	if past.Ended != nil {
		r.Ended = localTime(*past.Ended)
	}
	if past.Outcome != "" {
		r.Outcome = classOf(past.Outcome)
	}
	return r
}
