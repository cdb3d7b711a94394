// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package machine

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"

// Isolated is a CPU that is kept from the scheduler and not named in cores.usable.
var Isolated = Cell{'i', screen.Dim, "isolated, not given out"}

// addLegend keeps a cell for the legend.
func (d *Drawing) addLegend(c Cell) {
	if c.Meaning == "" {
		return
	}
	for _, known := range d.legend {
		if known.Glyph == c.Glyph && known.Meaning == c.Meaning {
			return
		}
	}
	d.legend = append(d.legend, c)
}

// drawLegend explains the cells that were met.
func (d *Drawing) drawLegend() []screen.Line {
	entries := make([]screen.Line, 0, len(d.legend)+1)
	for _, c := range d.legend {
		l := screen.Styled(c.Style, string(c.Glyph))
		l.Add(screen.Plain, " "+c.Meaning)
		entries = append(entries, l)
	}
	if len(d.Topology.L3Sets()) > len(d.Topology.NodesOf(d.Topology.Online)) {
		entries = append(entries, screen.Text("| between L3 caches"))
	}
	return screen.Flow(entries, d.Screen.Width)
}
