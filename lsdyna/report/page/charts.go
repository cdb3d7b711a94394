// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package page

import (
	"math"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/eta"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/glstat"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/report/chart"
)

// drawing is a chart with the same as numbers.
type drawing struct {
	chart.Drawing
	Table *table
}

type table struct {
	Head []string
	Rows [][]string
}

// Labels of the axes. LS-DYNA has no units: they are those of the deck.
const problemTime = "Problem time"

func (p *Page) charts() []drawing {
	var all []drawing
	for _, draw := range []func() (chart.Chart, *table){p.progress, p.energies, p.steps, p.added, p.ratio} {
		c, numbers := draw()
		if drawn, ok := c.Draw(); ok {
			all = append(all, drawing{drawn, numbers})
		}
	}
	return all
}

// progress is problem time against wall time, with the estimate of what is left.
func (p *Page) progress() (chart.Chart, *table) {
	s := &p.Snapshot
	samples := s.History.Samples()
	c := chart.Chart{
		ID: "progress", Title: "Progress",
		X: chart.Axis{Label: "Wall time", Seconds: true, Zero: true}, Y: chart.Axis{Label: problemTime, Zero: true},
	}
	if len(samples) == 0 {
		return c, nil
	}
	start := samples[0].Wall
	if began := s.Started.Unix(); !s.Started.IsZero() && began < start && start-began < 7*86400 {
		start = began
	}
	line := chart.Line{Name: "problem time"}
	numbers := &table{Head: []string{"Wall time", problemTime, "Cycle"}}
	for _, one := range samples {
		line.X = append(line.X, float64(one.Wall-start))
		line.Y = append(line.Y, one.Problem)
	}
	for _, i := range few(len(samples)) {
		one := samples[i]
		numbers.Rows = append(numbers.Rows, []string{duration(float64(one.Wall - start)), number(one.Problem), count(one.Cycle)})
	}
	c.Lines = []chart.Line{line}
	if s.EndTime > 0 {
		c.Level = &chart.Level{Name: "end time " + number(s.EndTime), Y: s.EndTime}
	}
	for _, d := range s.Dumps {
		c.Marks = append(c.Marks, chart.Mark{Name: "restart dump", Text: clean(d.Name, maxText), X: float64(d.Wall.Unix() - start), Y: d.Time})
	}
	p.forecast(&c, samples[len(samples)-1], start)
	return c, numbers
}

// forecast adds what is expected of a run that goes on.
func (p *Page) forecast(c *chart.Chart, last eta.Sample, start int64) {
	r := &p.Report
	if r.ETASeconds == nil || r.ETALowSeconds == nil || r.ETAHighSeconds == nil {
		return
	}
	now, end := float64(last.Wall-start), p.Snapshot.EndTime
	c.Bands = []chart.Band{{
		Name:    "four of five runs end within",
		Corners: [][2]float64{{now, last.Problem}, {now + *r.ETALowSeconds, end}, {now + *r.ETAHighSeconds, end}},
	}}
	c.Lines = append(c.Lines, chart.Line{Name: "expected", Dashed: true, X: []float64{now, now + *r.ETASeconds}, Y: []float64{last.Problem, end}})
}

// quantity is one of the global statistics, as it is drawn.
type quantity struct {
	glstat.Quantity
	name string
}

// line is a quantity over the problem time.
func (p *Page) line(q quantity) chart.Line {
	l := chart.Line{Name: q.name}
	for _, point := range p.Snapshot.Energies.Points(q.Quantity) {
		l.X, l.Y = append(l.X, point.Time), append(l.Y, point.Value)
	}
	return l
}

// overProblemTime draws quantities; those that the statistics do not tell are left out.
func (p *Page) overProblemTime(id, title string, y chart.Axis, all ...quantity) (chart.Chart, *table) {
	c := chart.Chart{ID: id, Title: title, X: chart.Axis{Label: problemTime}, Y: y}
	var told []quantity
	for _, q := range all {
		if l := p.line(q); len(l.X) > 1 {
			c.Lines = append(c.Lines, l)
			told = append(told, q)
		}
	}
	return c, p.numbers(told)
}

// energies is what the global statistics say of them.
func (p *Page) energies() (chart.Chart, *table) {
	return p.overProblemTime("energies", "Energies", chart.Axis{Label: "Energy, in the deck’s units", Zero: true},
		quantity{glstat.Total, "total"}, quantity{glstat.Internal, "internal"}, quantity{glstat.Kinetic, "kinetic"},
		quantity{glstat.Hourglass, "hourglass"}, quantity{glstat.Sliding, "sliding interface"})
}

// steps is the time step: of the global statistics, else the mean between progress lines.
func (p *Page) steps() (chart.Chart, *table) {
	axis := chart.Axis{Label: "Time step", Log: true}
	if c, numbers := p.overProblemTime("step", "Time step", axis, quantity{glstat.Dt, "time step"}); len(c.Lines) > 0 {
		return c, numbers
	}
	line := chart.Line{Name: "time step, mean between progress lines"}
	samples := p.Snapshot.History.Samples()
	numbers := &table{Head: []string{problemTime, "Time step"}}
	for i := 1; i < len(samples); i++ {
		a, b := samples[i-1], samples[i]
		step := (b.Problem - a.Problem) / float64(b.Cycle-a.Cycle)
		if a.Cycle > 0 && b.Cycle > a.Cycle && step > 0 && !math.IsInf(step, 0) {
			line.X, line.Y = append(line.X, b.Problem), append(line.Y, step)
		}
	}
	for _, i := range few(len(line.X)) {
		numbers.Rows = append(numbers.Rows, []string{number(line.X[i]), number(line.Y[i])})
	}
	return chart.Chart{ID: "step", Title: "Time step", X: chart.Axis{Label: problemTime}, Y: axis, Lines: []chart.Line{line}}, numbers
}

// added is the mass that mass scaling has added.
func (p *Page) added() (chart.Chart, *table) {
	points := p.Snapshot.Energies.Points(glstat.AddedMassPercent)
	if !slices.ContainsFunc(points, func(at glstat.Point) bool { return at.Value != 0 }) {
		return chart.Chart{}, nil // none was added
	}
	return p.overProblemTime("mass", "Added mass", chart.Axis{Label: "Increase of mass", Percent: true, Zero: true},
		quantity{glstat.AddedMassPercent, "added mass"})
}

// ratio is the energy ratio, which stays near 1 where a run is sound.
func (p *Page) ratio() (chart.Chart, *table) {
	return p.overProblemTime("ratio", "Energy ratio", chart.Axis{Label: "Total / initial energy"}, quantity{glstat.Ratio, "energy ratio"})
}

// numbers is a table of quantities.
func (p *Page) numbers(all []quantity) *table {
	stats := p.Snapshot.Energies
	if stats == nil {
		return nil
	}
	t := &table{Head: []string{problemTime}}
	for _, q := range all {
		t.Head = append(t.Head, q.name)
	}
	for _, i := range few(len(stats.Series)) {
		sample := &stats.Series[i]
		row := []string{number(sample.Time)}
		for _, q := range all {
			v, ok := sample.Value(q.Quantity)
			if !ok {
				v = math.NaN()
			}
			row = append(row, number(v))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// few is some indices of a list of this length, the first and the last among them.
func few(n int) []int {
	const most = 12
	if n <= most {
		list := make([]int, n)
		for i := range list {
			list[i] = i
		}
		return list
	}
	list := make([]int, most)
	for i := range list {
		list[i] = i * (n - 1) / (most - 1)
	}
	return list
}
