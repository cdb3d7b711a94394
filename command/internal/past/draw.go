// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package past

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/history"
)

// Draw draws a table of runs and one of their sums. why: each run with its reason below.
func Draw(runs []history.Entry, sums []Sum, why bool, out screen.Screen) []screen.Line {
	if len(runs) == 0 {
		return []screen.Line{screen.Text("No run.")}
	}
	rows := table(runs).Fit(out.Width)
	lines := rows[:1:1]
	for i := range runs {
		lines = append(lines, rows[i+1])
		if why {
			for _, l := range screen.Wrap(screen.Clean(runs[i].Reason), out.Width-indent, 0) {
				lines = append(lines, append(screen.Text(strings.Repeat(" ", indent)), l...))
			}
		}
	}
	lines = append(lines, nil)
	return append(lines, sumTable(sums).Fit(out.Width)...)
}

// indent is by how much a reason stands behind its run.
const indent = 4

func table(runs []history.Entry) screen.Table {
	t := screen.Table{Columns: []screen.Column{
		{Title: "ENDED", Keep: true},
		{Title: "JOB", Keep: true, Least: 8},
		{Title: "TASK", Least: 6, Rank: 2},
		{Title: "ALLOC", Rank: 4},
		{Title: "USER", Least: 6, Rank: 6},
		{Title: "SOLVER", Least: 6, Rank: 5},
		{Title: "CORES", Right: true, Rank: 7},
		{Title: "CORE HOURS", Right: true, Keep: true},
		{Title: "RAN", Right: true, Rank: 8},
		{Title: "TIME", Right: true, Rank: 3},
		{Title: "LICENCES", Right: true, Rank: 1},
		{Title: "OUTCOME", Keep: true},
	}}
	for i := range runs {
		t.Rows = append(t.Rows, row(&runs[i]))
	}
	return t
}

func row(e *history.Entry) []screen.Line {
	cells := []string{
		e.When().Local().Format(time.DateTime), e.JobID, e.Task, shortID(e.AllocID), e.User, e.Solver,
		strconv.Itoa(e.Cores), coreHours(e.CoreSeconds / hour), "-", "-", "-",
	}
	if e.Ended == nil {
		cells[0] = "by " + cells[0]
	} else if !e.Started.IsZero() {
		cells[8] = screen.Duration(max(e.Ended.Sub(e.Started), 0))
	}
	if e.Time != nil {
		cells[9] = screen.Float(e.Time)
		if e.EndTime != nil {
			cells[9] += " of " + screen.Float(e.EndTime)
		}
	}
	if e.Licences > 0 {
		cells[10] = strconv.Itoa(e.Licences)
	}
	var line []screen.Line
	for _, cell := range cells {
		line = append(line, screen.Text(screen.Clean(cell)))
	}
	return append(line, screen.Styled(style(e.Outcome), screen.Clean(e.Outcome)))
}

func sumTable(sums []Sum) screen.Table {
	t := screen.Table{Columns: []screen.Column{
		{Title: "OUTCOME", Keep: true}, {Title: "RUNS", Right: true, Keep: true}, {Title: "CORE HOURS", Right: true, Keep: true},
	}}
	all := Sum{Outcome: "all"}
	for _, s := range sums {
		all.Runs += s.Runs
		all.CoreHours += s.CoreHours
		t.Rows = append(t.Rows, sumRow(s, style(s.Outcome)))
	}
	t.Rows = append(t.Rows, sumRow(all, screen.Bold))
	return t
}

func sumRow(s Sum, st screen.Style) []screen.Line {
	return []screen.Line{screen.Styled(st, screen.Clean(s.Outcome)), screen.Text(strconv.Itoa(s.Runs)), screen.Text(coreHours(s.CoreHours))}
}

func coreHours(h float64) string {
	if h < 10 {
		return fmt.Sprintf("%.2f", h)
	}
	return fmt.Sprintf("%.1f", h)
}

func style(outcome string) screen.Style {
	switch output.Kind(outcome) {
	case output.Completed:
		return screen.Green
	case output.Stopped, output.Unknown:
		return screen.Yellow
	}
	return screen.Red
}

// shortID is how Nomad's own command line writes ids.
func shortID(id string) string {
	const short = 8
	return id[:min(len(id), short)]
}
