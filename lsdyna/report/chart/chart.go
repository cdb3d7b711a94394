// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package chart

import (
	"fmt"
	"math"
	"strings"
)

// Chart is what is to be drawn.
type Chart struct {
	ID    string // of the SVG; unique in its page
	Title string
	X, Y  Axis
	Lines []Line
	Bands []Band
	Marks []Mark
	Level *Level // a horizontal line
}

// Line is one series. X and Y are equally long.
type Line struct {
	Name   string
	X, Y   []float64
	Dashed bool // it is expected, not measured
}

// Band is the area between two lines with the same beginning and end.
type Band struct {
	Name    string
	Corners [][2]float64
}

// Mark is a point that is named.
type Mark struct {
	Name string // of its kind, for the legend
	Text string // of this one
	X, Y float64
}

// Level is a value of the y axis that is named.
type Level struct {
	Name string
	Y    float64
}

// Drawing is a chart in the units of its viewBox.
type Drawing struct {
	ID, Title              string
	Summary                string // what it shows, in words
	Width, Height          int
	Left, Top, Right, Foot float64 // of the plot
	MiddleX                float64
	XTicks, YTicks         []Tick
	XLabel, YLabel         string
	Paths                  []Path
	Areas                  []Path
	Dots                   []Dot
	Level                  *Tick
	Legend                 []Key
}

// Path is a line, or an area, of a drawing.
type Path struct {
	Number int // of its colour, from 1
	Dashed bool
	D      string
}

// Dot is a mark of a drawing.
type Dot struct {
	X, Y float64
	Text string
}

// Key is an entry of a legend.
type Key struct {
	Kind   string // line, dashed, area, dot or level
	Number int
	Name   string
}

// Size of a drawing and its margins. A phone shows it at two thirds of its size, with
// larger text.
const (
	width, height  = 560, 310
	left, right    = 72, 546
	top, foot      = 36, 252
	maxTicks       = 5
	maxPoints      = 240 // of a line
	maxMarks       = 64
	maxLines       = 6
	maxPathDecimal = 10.0
)

// Draw computes a chart; ok is false where there is nothing to draw: no line has two
// points.
func (c Chart) Draw() (d Drawing, ok bool) {
	x, y, ok := c.extent()
	if !ok {
		return d, false
	}
	xs := newScale(c.X, x.low, x.high, left, right, maxTicks)
	ys := newScale(c.Y, y.low, y.high, foot, top, maxTicks)
	if !xs.log { // the curves use the whole width, and nearly the whole height
		xs.low, xs.high = x.low, x.high
	}
	if !ys.log && y.high > y.low {
		ys.low, ys.high = c.Y.room(y)
	}
	d = Drawing{
		ID: c.ID, Title: c.Title, Width: width, Height: height,
		Left: left, Top: top, Right: right, Foot: foot, MiddleX: (left + right) / 2,
		XLabel: xs.label, YLabel: ys.label, YTicks: ys.ticksWithin(), XTicks: xs.ticksWithin(),
	}
	for _, b := range c.Bands {
		d.Areas = append(d.Areas, Path{Number: 1, D: area(b.Corners, xs, ys)})
		d.Legend = append(d.Legend, Key{"area", 1, b.Name})
	}
	c.drawLines(&d, xs, ys)
	c.drawMarks(&d, xs, ys)
	if l := c.Level; l != nil && ys.has(l.Y) {
		d.Level = &Tick{round(ys.at(l.Y)), l.Name}
		d.Legend = append(d.Legend, Key{"level", 0, l.Name})
	}
	if len(d.Legend) == 1 && strings.EqualFold(d.Legend[0].Name, c.Title) {
		d.Legend = nil // the title says it
	}
	d.Summary = c.summary()
	return d, true
}

func (c Chart) drawLines(d *Drawing, xs, ys scale) {
	number := 0
	for _, l := range c.Lines[:min(len(c.Lines), maxLines)] {
		if !l.Dashed || number == 0 {
			number++
		}
		path := line(l, xs, ys)
		if path == "" {
			continue
		}
		d.Paths = append(d.Paths, Path{number, l.Dashed, path})
		kind := "line"
		if l.Dashed {
			kind = "dashed"
		}
		d.Legend = append(d.Legend, Key{kind, number, l.Name})
	}
}

func (c Chart) drawMarks(d *Drawing, xs, ys scale) {
	for _, m := range c.Marks[max(0, len(c.Marks)-maxMarks):] {
		if !xs.within(m.X) || !ys.within(m.Y) {
			continue
		}
		if len(d.Dots) == 0 {
			d.Legend = append(d.Legend, Key{"dot", 0, m.Name})
		}
		d.Dots = append(d.Dots, Dot{round(xs.at(m.X)), round(ys.at(m.Y)), m.Text})
	}
}

type extent struct{ low, high float64 }

func (e *extent) add(v float64) {
	if !math.IsNaN(v) && math.Abs(v) <= maxValue {
		e.low, e.high = math.Min(e.low, v), math.Max(e.high, v)
	}
}

// maxValue keeps differences of values finite.
const maxValue = 1e300

// extent is between which values the lines, bands and the level are.
func (c Chart) extent() (x, y extent, ok bool) {
	none := extent{math.Inf(1), math.Inf(-1)}
	x, y = none, none
	for i, l := range c.Lines {
		line := extent{math.Inf(1), math.Inf(-1)}
		for j := range min(len(l.X), len(l.Y)) {
			if c.drawable(l.X[j], l.Y[j]) {
				x.add(l.X[j])
				line.add(l.X[j])
				y.add(l.Y[j])
			}
		}
		ok = ok || i < maxLines && line.high > line.low
	}
	for _, b := range c.Bands {
		for _, p := range b.Corners {
			if c.drawable(p[0], p[1]) {
				x.add(p[0])
				y.add(p[1])
			}
		}
	}
	if c.Level != nil {
		y.add(c.Level.Y)
	}
	return x, y, ok && y.high >= y.low
}

func (c Chart) drawable(x, y float64) bool {
	return math.Abs(x) <= maxValue && math.Abs(y) <= maxValue && (!c.Y.Log || y > 0)
}

// room is what a vertical axis shows of values: a little more than they need.
func (a Axis) room(e extent) (low, high float64) {
	const part = .04
	low, high = e.low, e.high
	if a.Zero {
		low, high = math.Min(low, 0), math.Max(high, 0)
	}
	spare := part * (high - low)
	if !a.Zero || low < 0 {
		low -= spare
	}
	return low, high + spare
}

// ticksWithin is ticks of an axis whose ends are no ticks.
func (s scale) ticksWithin() []Tick {
	if s.log {
		return s.ticks()
	}
	var ticks []Tick
	for i := math.Ceil(s.low/s.step - 1e-9); i*s.step <= s.high+1e-9*s.step && len(ticks) <= 2*maxTicks; i++ {
		ticks = append(ticks, Tick{round(s.at(i * s.step)), number(i*s.step/s.factor, s.step/s.factor)})
	}
	return ticks
}

// line is the path of a series.
func line(l Line, xs, ys scale) string {
	var b strings.Builder
	for _, p := range thin(l, xs, ys) {
		if b.Len() == 0 {
			fmt.Fprintf(&b, "M%g %g", p[0], p[1])
			continue
		}
		fmt.Fprintf(&b, "L%g %g", p[0], p[1])
	}
	return b.String()
}

// thin keeps as many points of a series as a chart can show: of each part of it the
// first, the lowest, the highest and the last, so that no peak is lost.
func thin(l Line, xs, ys scale) [][2]float64 {
	var all [][2]float64
	for i := range min(len(l.X), len(l.Y)) {
		x, y := l.X[i], l.Y[i]
		if xs.has(x) && ys.has(y) && math.Abs(x) <= maxValue && math.Abs(y) <= maxValue {
			all = append(all, [2]float64{round(xs.at(x)), round(ys.at(y))})
		}
	}
	if len(all) <= maxPoints {
		return all
	}
	const ofPart = 4
	parts := maxPoints / ofPart
	var kept [][2]float64
	for part := range parts {
		from, to := part*len(all)/parts, (part+1)*len(all)/parts
		lowest, highest := from, from
		for i := from; i < to; i++ {
			if all[i][1] < all[lowest][1] {
				lowest = i
			}
			if all[i][1] > all[highest][1] {
				highest = i
			}
		}
		last := -1
		for _, i := range [ofPart]int{from, min(lowest, highest), max(lowest, highest), to - 1} {
			if i != last {
				kept = append(kept, all[i])
			}
			last = i
		}
	}
	return kept
}

// area is the path of a closed polygon.
func area(corners [][2]float64, xs, ys scale) string {
	var b strings.Builder
	for i, p := range corners {
		letter := "L"
		if i == 0 {
			letter = "M"
		}
		fmt.Fprintf(&b, "%s%g %g", letter, round(xs.at(p[0])), round(ys.at(p[1])))
	}
	return b.String() + "Z"
}

// round keeps the decimals of a coordinate that can be seen, within what browsers take.
func round(v float64) float64 {
	const far = 1e5
	return math.Round(min(max(v, -far), far)*maxPathDecimal) / maxPathDecimal
}

// summary says what the chart shows, for who does not see it.
func (c Chart) summary() string {
	var names []string
	for _, l := range c.Lines[:min(len(c.Lines), maxLines)] {
		n := min(len(l.X), len(l.Y))
		if n == 0 {
			continue
		}
		names = append(names, fmt.Sprintf("%s from %.4g to %.4g", l.Name, l.Y[0], l.Y[n-1]))
	}
	return fmt.Sprintf("%s over %s: %s.", c.Y.Label, c.X.Label, strings.Join(names, "; "))
}
