// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// column is one column of a table. Where a table is too wide, columns are left
// out, the lowest rank first, and then the widest that may become narrower do.
type column struct {
	title string
	right bool
	keep  bool // never left out
	rank  int
	least int // may be cut to so many characters; 0: never cut
}

// table is rows of cells.
type table struct {
	columns []column
	rows    [][]line
}

const columnGap = 2

// lay fits the table into a width.
func (t table) lay(width int) []line {
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
	lines := []line{t.layRow(t.titles(), widths, shown)}
	for _, row := range t.rows {
		lines = append(lines, t.layRow(row, widths, shown))
	}
	return lines
}

// least is how narrow a column may become before another is left out: names keep
// most of what they say.
func (t table) least(i, width int) int {
	if c := t.columns[i]; c.least > 0 {
		return min(width, max(c.least, min(width, 24)))
	}
	return width
}

func (t table) widths() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = len(c.title)
		for _, row := range t.rows {
			widths[i] = max(widths[i], row[i].width())
		}
	}
	return widths
}

func (t table) nextToDrop(shown []bool) int {
	found := -1
	for i, c := range t.columns {
		if shown[i] && !c.keep && (found < 0 || c.rank < t.columns[found].rank) {
			found = i
		}
	}
	return found
}

// shrink makes the widest of the columns that may be cut narrower until the
// table fits or nothing can be cut.
func (t table) shrink(widths []int, shown []bool, width int) {
	for {
		total, widest := -columnGap, -1
		for i, w := range widths {
			if !shown[i] {
				continue
			}
			total += w + columnGap
			if c := t.columns[i]; c.least > 0 && w > c.least && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if total <= width || widest < 0 {
			return
		}
		widths[widest]--
	}
}

func (t table) titles() []line {
	row := make([]line, len(t.columns))
	for i, c := range t.columns {
		row[i] = line{{c.title, bold}}
	}
	return row
}

func (t table) layRow(row []line, widths []int, shown []bool) line {
	var l line
	for i, cell := range row {
		if !shown[i] {
			continue
		}
		if len(l) > 0 {
			l.add(plain, strings.Repeat(" ", columnGap))
		}
		cell = shorten(cell, widths[i])
		pad := strings.Repeat(" ", widths[i]-cell.width())
		if t.columns[i].right {
			l.add(plain, pad)
		}
		for _, s := range cell {
			l.add(s.style, s.text)
		}
		if !t.columns[i].right {
			l.add(plain, pad)
		}
	}
	return l
}

// shorten cuts a cell to a width of 2 or more: words in their middle, of a bar
// with words behind it the bar.
func shorten(cell line, width int) line {
	over := cell.width() - width
	if over <= 0 {
		return cell
	}
	if len(cell) == 1 {
		// Ids differ at their ends: dispatched jobs, parameter studies.
		runes := []rune(cell[0].text)
		tail := max(width-2, 0) / 2
		head := max(width-2-tail, 0)
		return line{{string(runes[:head]) + ".." + string(runes[len(runes)-tail:]), cell[0].style}}
	}
	bar := slices.Clone(cell)
	total := bar[:len(bar)-1].width()
	for i := range bar[:len(bar)-1] {
		runes := []rune(bar[i].text)
		bar[i].text = string(runes[:len(runes)*max(total-over, 0)/max(total, 1)])
	}
	return bar
}

// number writes a number, or "-" where there is none.
func number[T int | int64](n *T) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// duration writes a time in its two largest units: 2d4h, 1h05m, 3m20s, 12s.
func duration(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s >= 24*3600:
		return fmt.Sprintf("%dd%02dh", s/86400, s%86400/3600)
	case s >= 3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	case s >= 60:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	}
	return fmt.Sprintf("%ds", s)
}

// shortID is how Nomad's own command line writes ids.
func shortID(id string) string {
	if len(id) > 8 {
		return id[:8]
	}
	return id
}
