// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package eta

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// history is what the progress lines of a run held. A run that was cut is one that
// ends later.
type history struct {
	name  string
	lines []Sample
	end   float64 // time
}

// until is the history of the first part of the wall time.
func (h history) until(share float64) history {
	first, last := h.lines[0].Wall, h.lines[len(h.lines)-1].Wall
	n := 0
	for n < len(h.lines) && float64(h.lines[n].Wall-first) <= share*float64(last-first) {
		n++
	}
	h.lines = h.lines[:n]
	return h
}

// left is the wall time from the last line of a part to the end.
func (h history) left(part history) float64 {
	return float64(h.lines[len(h.lines)-1].Wall - part.lines[len(part.lines)-1].Wall)
}

// since is the pace since a line, held to the end time.
func (h history) since(from int) float64 {
	a, b := h.lines[from], h.lines[len(h.lines)-1]
	if b.Problem <= a.Problem {
		return math.Inf(1)
	}
	return float64(b.Wall-a.Wall) * (h.end - b.Problem) / (b.Problem - a.Problem)
}

// overall is the estimate elapsed × end/t.
func (h history) overall() float64 { return h.since(0) }

// window is the pace of the last part of the wall time.
func (h history) window(share float64) float64 {
	last := h.lines[len(h.lines)-1].Wall - h.lines[0].Wall
	return h.since(slices.IndexFunc(h.lines, func(s Sample) bool {
		return float64(s.Wall-h.lines[0].Wall) >= (1-share)*float64(last)
	}))
}

func (h history) halfWindow() float64 { return h.window(.5) }

func (h history) forecast() (Forecast, bool) {
	var e Estimator
	for _, s := range h.lines {
		e.Add(s.Wall, s.Problem, s.Cycle)
	}
	return e.Forecast(h.end)
}

func (h history) ours() float64 {
	f, ok := h.forecast()
	if !ok {
		return math.Inf(1)
	}
	return f.Likely.Seconds()
}

// medianError is the median over the runs of the relative error of an estimate at a
// part of the wall time.
func medianError(runs []history, share float64, estimate func(history) float64) float64 {
	var errs []float64
	for _, h := range runs {
		part := h.until(share)
		left := h.left(part)
		errs = append(errs, math.Abs(estimate(part)-left)/left)
	}
	return median(errs)
}

// band is the part of the runs that end within the forecast's band, and the median of
// its high end by its low end.
func band(runs []history, share float64) (within, width float64) {
	var widths []float64
	for _, h := range runs {
		part := h.until(share)
		left := h.left(part)
		f, ok := part.forecast()
		if ok && f.Low.Seconds() <= left && left <= f.High.Seconds() {
			within++
		}
		if ok && f.Low > 0 {
			widths = append(widths, f.High.Seconds()/f.Low.Seconds())
		}
	}
	return within / float64(len(runs)), median(widths)
}

func median(v []float64) float64 {
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// etaShares are the parts of the wall time at which estimates are compared, and
// allShares what shows that they were not chosen for it.
var etaShares = []float64{.1, .25, .5, .75}

func allShares() (all []float64) {
	for i := range 19 {
		all = append(all, float64(i+1)/20)
	}
	return all
}

func meanError(runs []history, estimate func(history) float64) (sum float64) {
	for _, share := range allShares() {
		sum += medianError(runs, share, estimate) / float64(len(allShares()))
	}
	return sum
}

// realHistories are real runs, where they are there.
func realHistories(tb testing.TB) (all []history) {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "..", "shared", "samples", "progress", "*.tsv"))
	must.NoError(tb, err)
	for _, name := range files {
		data, err := os.ReadFile(name)
		must.NoError(tb, err)
		h := history{name: filepath.Base(name)}
		for line := range bytes.Lines(data) {
			f := strings.Fields(string(line))
			switch {
			case len(f) == 3 && f[1] == "end_time":
				h.end, err = strconv.ParseFloat(f[2], 64)
			case len(f) == 4 && f[0] != "#":
				var s Sample
				_, err = fmt.Sscan(f[0]+" "+f[1]+" "+f[3], &s.Wall, &s.Problem, &s.Cycle)
				h.lines = append(h.lines, s)
			}
			must.NoError(tb, err, must.Sprint(name, string(line)))
		}
		all = append(all, h)
	}
	return all
}

// phase is a part of a made-up run: until this part of the problem time a cycle takes
// seconds, and a unit of problem time as many cycles.
type phase struct {
	until   float64
	seconds func(x float64) float64
	cycles  func(x float64) float64
}

func always(v float64) func(float64) float64 { return func(float64) float64 { return v } }

// madeKinds are the courses that real runs take.
var madeKinds = map[string][]phase{
	"even":               {{1, always(.1), always(1)}},
	"even, small steps":  {{1, always(.1), always(4)}},
	"contact comes late": {{.4, always(.1), always(1)}, {.6, func(x float64) float64 { return .1 + .2*(x-.4) }, always(1)}, {1, always(.14), always(1)}},
	"contact ends":       {{.3, always(.14), always(1)}, {1, always(.1), always(1)}},
	"step falls":         {{1, always(.1), func(x float64) float64 { return .05 + 2*x }}},
	"step is cut once":   {{.2, always(.1), always(1)}, {1, always(.1), always(1.4)}},
	"implicit starts":    {{.03, always(1.5), always(.5)}, {1, always(.4), always(.25)}},
	"drifts":             {{1, func(x float64) float64 { return .1 * (1 + .3*x) }, always(1)}},
	"shared machine":     {{.35, always(.1), always(1)}, {.5, always(.2), always(1)}, {1, always(.1), always(1)}},
}

// make makes a run of so many lines, with noise, at whole seconds.
func makeHistory(name string, phases []phase, seed uint64, from float64) history {
	r := rand.New(rand.NewPCG(seed, 4))
	lines := []int{60, 150, 600, 3000}[seed%4]
	cycles := []float64{2e3, 2e4, 1e5}[seed%3]
	h := history{name: name, end: .04}
	x, wall, cycle, load := from, 0.0, 1+cycles*from, 1.0
	step := (1 - from) / float64(lines)
	pauseAt := -1
	if seed%5 == 4 {
		pauseAt = r.IntN(lines)
	}
	for i := range lines + 1 {
		h.lines = append(h.lines, Sample{int64(wall), min(x, 1) * h.end, int64(cycle)})
		p := phases[slices.IndexFunc(phases, func(p phase) bool { return min(x, 1) <= p.until })]
		n := cycles * step * p.cycles(x)
		load = math.Exp(.9*math.Log(load) + r.NormFloat64()*.03)
		wall += n * p.seconds(x) * load * math.Exp(r.NormFloat64()*.15)
		if i == pauseAt {
			wall += cycles * .05 // the machine sleeps for half of what the run takes
		}
		x, cycle = x+step, cycle+n
	}
	return h
}

// madeHistories are runs of all kinds, and some that began with a dump.
func madeHistories() (all []history) {
	for name, phases := range madeKinds {
		for seed := range uint64(20) {
			from := 0.0
			if seed%6 == 5 {
				from = .2
			}
			all = append(all, makeHistory(name, phases, seed, from))
		}
	}
	slices.SortStableFunc(all, func(a, b history) int { return strings.Compare(a.name, b.name) })
	return all
}

// etaTable compares ours with simple rules.
func etaTable(runs []history) string {
	rules := []struct {
		name     string
		estimate func(history) float64
	}{
		{"elapsed × end/t", history.overall},
		{"pace of the last half", history.halfWindow},
		{"pace of the last fifth", func(h history) float64 { return h.window(.2) }},
		{"ours", history.ours},
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-24s", "median error, at")
	for _, share := range etaShares {
		fmt.Fprintf(&b, "%6.0f %%", 100*share)
	}
	fmt.Fprintf(&b, "  mean of 5 to 95 %%\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "%-24s", r.name)
		for _, share := range etaShares {
			fmt.Fprintf(&b, "%8.1f", 100*medianError(runs, share, r.estimate))
		}
		fmt.Fprintf(&b, "%8.1f\n", 100*meanError(runs, r.estimate))
	}
	var within, width string
	for _, share := range etaShares {
		in, wide := band(runs, share)
		within += fmt.Sprintf("%8.0f", 100*in)
		width += fmt.Sprintf("%8.2f", wide)
	}
	mean := 0.0
	for _, share := range allShares() {
		in, _ := band(runs, share)
		mean += in / float64(len(allShares()))
	}
	fmt.Fprintf(&b, "%-24s%s%8.0f\n%-24s%s\n", "within the band, %", within, 100*mean, "its high by its low end", width)
	return b.String()
}

// BenchmarkETA prints how good the estimates are, and measures how long one takes.
func BenchmarkETA(b *testing.B) {
	for _, set := range []struct {
		name string
		runs []history
	}{{"made", madeHistories()}, {"real", realHistories(b)}} {
		if len(set.runs) == 0 {
			continue
		}
		fmt.Printf("\n%d %s runs\n%s\n", len(set.runs), set.name, etaTable(set.runs))
	}
	var e Estimator
	for _, s := range makeHistory("even", madeKinds["even"], 3, 0).lines {
		e.Add(s.Wall, s.Problem, s.Cycle)
	}
	for b.Loop() {
		e.Forecast(.08)
	}
}

func TestForecast_betterThanSimpleRules(t *testing.T) {
	check := func(t *testing.T, runs []history, half float64) {
		for _, share := range etaShares {
			ours := medianError(runs, share, history.ours)
			must.Less(t, medianError(runs, share, history.overall), ours, must.Sprint(share))
			must.Less(t, medianError(runs, share, history.halfWindow), ours, must.Sprint(share))
			within, width := band(runs, share)
			must.GreaterEq(t, .8, within, must.Sprint(share))
			must.LessEq(t, 3, width, must.Sprint(share))
		}
		must.LessEq(t, half, medianError(runs, .5, history.ours))
		must.Less(t, meanError(runs, history.halfWindow), meanError(runs, history.ours))
		must.Less(t, meanError(runs, history.overall), meanError(runs, history.ours))
	}
	t.Run("made", func(t *testing.T) { check(t, madeHistories(), .09) })
	t.Run("real", func(t *testing.T) {
		runs := realHistories(t)
		if len(runs) == 0 {
			t.Skip("no real runs here")
		}
		check(t, runs, .03)
	})
}

func TestForecast_ofEachKind(t *testing.T) {
	for name, most := range map[string][2]float64{ // median errors at half and at three quarters
		"even": {.05, .06}, "even, small steps": {.04, .04}, "contact comes late": {.2, .08}, "contact ends": {.06, .06}, "step falls": {.07, .07},
		"step is cut once": {.06, .06}, "implicit starts": {.08, .06}, "drifts": {.13, .11},
		"shared machine": {1, .07}, // at half nothing tells that the other load is about to end
	} {
		t.Run(name, func(t *testing.T) {
			runs := slices.DeleteFunc(madeHistories(), func(h history) bool { return h.name != name })
			for i, share := range []float64{.5, .75} {
				got := medianError(runs, share, history.ours)
				must.LessEq(t, most[i], got, must.Sprint(share))
			}
		})
	}
}

// Without any one of the real runs, ours is still no worse: no single run was what it
// was made for.
func TestForecast_dependsOnNoSingleRun(t *testing.T) {
	runs := realHistories(t)
	if len(runs) == 0 {
		t.Skip("no real runs here")
	}
	for i, h := range runs {
		others := slices.Delete(slices.Clone(runs), i, i+1)
		must.Less(t, meanError(others, history.halfWindow), meanError(others, history.ours), must.Sprint(h.name))
	}
}
