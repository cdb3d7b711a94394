// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package chart

import (
	"encoding/binary"
	"math"
	"regexp"
	"strconv"
	"testing"

	"github.com/shoenig/test/must"
)

func texts(ticks []Tick) []string {
	var all []string
	for _, t := range ticks {
		all = append(all, t.Text)
	}
	return all
}

func TestScale_ticksAndUnits(t *testing.T) {
	for name, c := range map[string]struct {
		axis      Axis
		low, high float64
		label     string
		ticks     []string
	}{
		"plain":           {Axis{Label: "Time"}, 0, 10, "Time", []string{"0", "2", "4", "6", "8", "10"}},
		"decimals":        {Axis{Label: "Time"}, 0, .35, "Time", []string{"0", "0.1", "0.2", "0.3", "0.4"}},
		"small":           {Axis{Label: "Time"}, 0, 6e-3, "Time × 10⁻³", []string{"0", "2", "4", "6"}},
		"large":           {Axis{Label: "Energy"}, -2e8, 3e8, "Energy × 10⁶", []string{"−200", "−100", "0", "100", "200", "300"}},
		"from zero":       {Axis{Label: "Mass", Percent: true, Zero: true}, 3, 4, "Mass (%)", []string{"0", "1", "2", "3", "4"}},
		"seconds":         {Axis{Label: "Wall time", Seconds: true}, 0, 100, "Wall time (s)", []string{"0", "20", "40", "60", "80", "100"}},
		"minutes":         {Axis{Label: "Wall time", Seconds: true}, 0, 1800, "Wall time (min)", []string{"0", "10", "20", "30"}},
		"hours":           {Axis{Label: "Wall time", Seconds: true}, 0, 36000, "Wall time (h)", []string{"0", "2", "4", "6", "8", "10"}},
		"days":            {Axis{Label: "Wall time", Seconds: true}, 0, 5 * 86400, "Wall time (days)", []string{"0", "1", "2", "3", "4", "5"}},
		"one value":       {Axis{Label: "Step"}, 4, 4, "Step", []string{"2", "3", "4", "5", "6"}},
		"nothing":         {Axis{Label: "Step"}, 0, 0, "Step", []string{"−1.0", "−0.5", "0", "0.5", "1.0"}},
		"decades":         {Axis{Label: "Step", Log: true}, 2e-8, 3e-6, "Step", []string{"10⁻⁸", "10⁻⁷", "10⁻⁶", "10⁻⁵"}},
		"huge, per cent":  {Axis{Label: "Mass", Percent: true, Zero: true}, 3, 4e30, "Mass (%)", []string{"0", "1e+30", "2e+30", "3e+30", "4e+30"}},
		"huge, not far":   {Axis{Label: "Mass", Percent: true}, 1.234e30, 1.236e30, "Mass (%)", []string{"1.234e+30", "1.2345e+30", "1.235e+30", "1.2355e+30", "1.236e+30"}},
		"tiny, per cent":  {Axis{Label: "Mass", Percent: true, Zero: true}, 3e-12, 4e-12, "Mass (%)", []string{"0", "1e−12", "2e−12", "3e−12", "4e−12"}},
		"few for decades": {Axis{Label: "Step", Log: true}, 1e-6, 3e-6, "Step × 10⁻⁶", []string{"1.0", "1.5", "2.0", "2.5", "3.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScale(c.axis, c.low, c.high, 0, 100, maxTicks)
			must.Eq(t, c.label, s.label)
			must.Eq(t, c.ticks, texts(s.ticks()))
		})
	}
}

func straight(n int) Line {
	l := Line{Name: "value"}
	for i := range n {
		l.X, l.Y = append(l.X, float64(i)), append(l.Y, float64(2*i))
	}
	return l
}

var coordinates = regexp.MustCompile(`-?[0-9.]+(e[-+]?[0-9]+)?`)

func TestDraw_keepsWithinThePlot(t *testing.T) {
	c := Chart{ID: "c", Title: "C", X: Axis{Label: "x"}, Y: Axis{Label: "y"}, Lines: []Line{straight(5000)}, Level: &Level{"end", 12000}}
	d, ok := c.Draw()
	must.True(t, ok)
	must.Len(t, 1, d.Paths)
	must.LessEq(t, maxPoints, len(regexp.MustCompile("[ML]").FindAllString(d.Paths[0].D, -1)))
	for i, text := range coordinates.FindAllString(d.Paths[0].D, -1) {
		v, err := strconv.ParseFloat(text, 64)
		must.NoError(t, err)
		if i%2 == 0 {
			must.Between(t, left, v, right)
		} else {
			must.Between(t, top, v, foot)
		}
	}
	must.Eq(t, "y over x: value from 0 to 9998.", d.Summary)
	must.Eq(t, []Key{{"line", 1, "value"}, {"level", 0, "end"}}, d.Legend)
}

// A peak of one point is what one looks for in a curve.
func TestDraw_losesNoPeak(t *testing.T) {
	l := straight(5000)
	l.Y[3333] = 1e6
	d, ok := Chart{X: Axis{Label: "x"}, Y: Axis{Label: "y"}, Lines: []Line{l}}.Draw()
	must.True(t, ok)
	must.RegexMatch(t, regexp.MustCompile(`L388 4[0-9](\.[0-9])?L`), d.Paths[0].D) // near the top
}

func TestDraw_whatCannotBeDrawn(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for name, c := range map[string]struct {
		lines []Line
		drawn bool
	}{
		"nothing":               {nil, false},
		"one point":             {[]Line{{X: []float64{1}, Y: []float64{1}}}, false},
		"one time":              {[]Line{{X: []float64{1, 1}, Y: []float64{1, 2}}}, false},
		"numbers that are none": {[]Line{{X: []float64{1, 2}, Y: []float64{nan, inf}}}, false},
		"some that are none":    {[]Line{{X: []float64{1, 2, 3, nan}, Y: []float64{1, nan, 3, 4}}}, true},
		"equal values":          {[]Line{{X: []float64{1, 2}, Y: []float64{5, 5}}}, true},
		"of unequal lengths":    {[]Line{{X: []float64{1, 2, 3}, Y: []float64{5, 6}}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			d, ok := Chart{X: Axis{Label: "x"}, Y: Axis{Label: "y"}, Lines: c.lines}.Draw()
			must.Eq(t, c.drawn, ok)
			for _, p := range d.Paths {
				must.StrNotContains(t, p.D, "NaN")
				must.StrNotContains(t, p.D, "Inf")
			}
		})
	}
}

func TestDraw_estimateAndMarks(t *testing.T) {
	c := Chart{X: Axis{Label: "x"}, Y: Axis{Label: "y"}, Lines: []Line{straight(10), {Name: "expected", Dashed: true, X: []float64{9, 12}, Y: []float64{18, 24}}}}
	c.Bands = []Band{{"band", [][2]float64{{9, 18}, {11, 24}, {15, 24}}}}
	c.Marks = []Mark{{"dump", "d3dump01", 3, 6}, {"dump", "far away", 1e9, 6}, {"dump", "d3dump02", 4, 8}}
	d, ok := c.Draw()
	must.True(t, ok)
	must.Eq(t, []Key{{"area", 1, "band"}, {"line", 1, "value"}, {"dashed", 1, "expected"}, {"dot", 0, "dump"}}, d.Legend)
	must.Len(t, 1, d.Areas)
	must.Len(t, 2, d.Dots)
	must.Eq(t, "d3dump01", d.Dots[0].Text)
	must.Eq(t, round(left+(right-left)*3./15), d.Dots[0].X) // the band's end is the right end
}

// FuzzDraw checks that no numbers make a chart endless, or draw what is no number.
func FuzzDraw(f *testing.F) {
	f.Add([]byte("0123456701234567"), true, true)
	f.Fuzz(func(t *testing.T, data []byte, log, seconds bool) {
		var l Line
		for len(data) >= 16 {
			l.X = append(l.X, math.Float64frombits(binary.LittleEndian.Uint64(data)))
			l.Y = append(l.Y, math.Float64frombits(binary.LittleEndian.Uint64(data[8:])))
			data = data[16:]
		}
		d, ok := Chart{X: Axis{Label: "x", Seconds: seconds}, Y: Axis{Label: "y", Log: log}, Lines: []Line{l}}.Draw()
		if !ok {
			return
		}
		for _, p := range d.Paths {
			for _, text := range coordinates.FindAllString(p.D, -1) {
				if v, err := strconv.ParseFloat(text, 64); err != nil || math.Abs(v) > 1e5 {
					t.Fatalf("%q in %s", text, p.D)
				}
			}
			if regexp.MustCompile("[^-ML0-9. e+]").MatchString(p.D) {
				t.Fatal(p.D)
			}
		}
		for _, tick := range append(d.XTicks, d.YTicks...) {
			if math.IsNaN(tick.At) || len(tick.Text) > 40 {
				t.Fatalf("%+v", tick)
			}
		}
		if len(d.XTicks)+len(d.YTicks) > 30 {
			t.Fatal(len(d.XTicks), len(d.YTicks))
		}
	})
}
