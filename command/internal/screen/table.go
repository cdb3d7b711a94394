// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package screen

import (
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Column is one column of a table. Where a table is too wide, columns are left
// out, the lowest rank first, and then the widest that may become narrower do.
type Column struct {
	Title string
	Right bool // aligned to the right
	Keep  bool // never left out
	Rank  int
	Least int // may be cut to so many columns; 0: never cut
}

// Table is rows of cells.
type Table struct {
	Columns []Column
	Rows    [][]Line
}

const columnGap = 2

// Fit lays the table out in a width.
func (t Table) Fit(width int) []Line {
	widths := t.widths()
	shown := make([]bool, len(widths))
	for i := range shown {
		shown[i] = true
	}
	least := func() int {
		n := 0
		for i, w := range widths {
			if shown[i] {
				n += t.least(i, w) + columnGap
			}
		}
		return n - columnGap
	}
	for least() > width {
		i := t.nextToDrop(shown)
		if i < 0 {
			break
		}
		shown[i] = false
	}
	t.shrink(widths, shown, width)
	lines := []Line{t.formatRow(t.titles(), widths, shown)}
	for _, row := range t.Rows {
		lines = append(lines, t.formatRow(row, widths, shown))
	}
	return lines
}

// least is how narrow a column may become before another is left out: names keep most of
// what they say.
func (t Table) least(i, width int) int {
	const enough = 22
	if c := t.Columns[i]; c.Least > 0 {
		return min(width, max(c.Least, enough))
	}
	return width
}

func (t Table) widths() []int {
	widths := make([]int, len(t.Columns))
	for i, c := range t.Columns {
		widths[i] = ansi.StringWidth(c.Title)
		for _, row := range t.Rows {
			widths[i] = max(widths[i], row[i].Width())
		}
	}
	return widths
}

func (t Table) nextToDrop(shown []bool) int {
	found := -1
	for i, c := range t.Columns {
		if shown[i] && !c.Keep && (found < 0 || c.Rank < t.Columns[found].Rank) {
			found = i
		}
	}
	return found
}

// shrink makes the widest of the columns that may be cut narrower until the
// table fits or nothing can be cut.
func (t Table) shrink(widths []int, shown []bool, width int) {
	for {
		total, widest := -columnGap, -1
		for i, w := range widths {
			if !shown[i] {
				continue
			}
			total += w + columnGap
			if c := t.Columns[i]; c.Least > 0 && w > c.Least && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if total <= width || widest < 0 {
			return
		}
		widths[widest]--
	}
}

func (t Table) titles() []Line {
	row := make([]Line, len(t.Columns))
	for i, c := range t.Columns {
		row[i] = Styled(Bold, c.Title)
	}
	return row
}

func (t Table) formatRow(row []Line, widths []int, shown []bool) Line {
	var l Line
	for i, cell := range row {
		if !shown[i] {
			continue
		}
		if len(l) > 0 {
			l.Add(Plain, strings.Repeat(" ", columnGap))
		}
		cell = shorten(cell, widths[i])
		pad := strings.Repeat(" ", max(widths[i]-cell.Width(), 0))
		if t.Columns[i].Right {
			l.Add(Plain, pad)
		}
		for _, s := range cell {
			l.Add(s.Style, s.Text)
		}
		if !t.Columns[i].Right {
			l.Add(Plain, pad)
		}
	}
	return l
}

// last returns the end of a text, of a width at most. TruncateLeft keeps a wide
// character that it would have to halve.
func last(text string, width int) string {
	cut := ansi.StringWidth(text) - width
	end := ansi.TruncateLeft(text, cut, "")
	if ansi.StringWidth(end) > width {
		end = ansi.TruncateLeft(text, cut+1, "")
	}
	return end
}

// shorten cuts a cell to a width of 2 or more: words in their middle, of a bar
// with words behind it the bar.
func shorten(cell Line, width int) Line {
	over := cell.Width() - width
	if over <= 0 {
		return cell
	}
	if len(cell) == 1 {
		// Ids differ at their ends: dispatched jobs, parameter studies.
		text := cell[0].Text
		tail := max(width-2, 0) / 2
		head := max(width-2-tail, 0)
		short := ansi.Truncate(text, head, "") + ".." + last(text, tail)
		// Characters may join with what they stand beside now.
		return Styled(cell[0].Style, ansi.Truncate(short, width, ""))
	}
	bar := slices.Clone(cell)
	total := bar[:len(bar)-1].Width()
	for i := range bar[:len(bar)-1] {
		bar[i].Text = ansi.Truncate(bar[i].Text, ansi.StringWidth(bar[i].Text)*max(total-over, 0)/max(total, 1), "")
	}
	return bar
}
