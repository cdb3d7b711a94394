// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import "strings"

// isolatedCell is a CPU that is kept from the scheduler and not named in
// cores.usable.
var isolatedCell = cell{'i', dim, "isolated, not given out"}

// note keeps a cell for the legend.
func (d *drawing) note(c cell) {
	if c.means == "" {
		return
	}
	for _, known := range d.legend {
		if known.glyph == c.glyph && known.means == c.means {
			return
		}
	}
	d.legend = append(d.legend, c)
}

// drawLegend explains the cells that were met.
func (d *drawing) drawLegend() []line {
	entries := make([]line, 0, len(d.legend)+1)
	for _, c := range d.legend {
		l := line{{string(c.glyph), c.style}}
		l.add(plain, " "+c.means)
		entries = append(entries, l)
	}
	if len(d.topo.L3Sets()) > len(d.topo.NodesOf(d.topo.Online)) {
		entries = append(entries, text("| between L3 caches"))
	}
	return flow(entries, d.screen.width)
}

// flow puts short pieces side by side.
func flow(pieces []line, width int) []line {
	var lines []line
	var current line
	for _, p := range pieces {
		if current != nil && current.width()+3+p.width() > width {
			lines = append(lines, current)
			current = nil
		}
		if current != nil {
			current.add(plain, "   ")
		}
		for _, s := range p {
			current.add(s.style, s.text)
		}
	}
	if current != nil {
		lines = append(lines, current)
	}
	return lines
}

// bar draws progress from 0 to 1.
func (s screen) bar(ratio float64, width int, st style) line {
	full := min(max(int(ratio*float64(width)+0.5), 0), width)
	if full == width && ratio < 1 {
		full-- // full is for what is over
	}
	l := line{}
	l.add(st, strings.Repeat(string(s.pick('█', '#')), full))
	l.add(dim, strings.Repeat(string(s.pick('░', '.')), width-full))
	return l
}
