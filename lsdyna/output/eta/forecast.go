// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package eta

import (
	"math"
	"slices"
	"sort"
	"time"
)

// Forecast is how long a run will still take, from its last progress line on. Four
// of five runs end between Low and High.
type Forecast struct {
	Likely, Low, High time.Duration
}

// What a forecast is made of. BenchmarkETA measures it; neighbouring values do nearly
// as well.
const (
	recentShare = .2 // of the wall time, whose pace is one half of the estimate
	steadyRange = .1 // by which, in logarithms, the pace of a steady stretch differs
	minWindow   = 3  // seconds of the shortest window: the clock has whole seconds
	minSteps    = 4  // samples of it
	bandParts   = 5  // parts of the wall time whose paces the band spans
	pauseFactor = 20 // by which a pause is slower than the run
	minPause    = 30 // seconds
	pauseRarity = 50 // samples for each pause
	maxSeconds  = float64(100 * 365 * 24 * 3600)
)

// steadyShares are the windows, in parts of the wall time, of which the longest with
// a steady pace is sought.
var steadyShares = []float64{.14, .2, .28, .4, .56, .8, 1}

// Forecast estimates the wall time from the last sample until the run reaches its end
// time. What is left, in problem time, is taken at a pace that is the geometric mean
// of two: the pace of the last fifth of the wall time, which is new but shaken by single
// steps, and that of the longest stretch up to now in which it was steady, which begins
// where another load of the machine, a contact or an implicit start ended. Where the
// time step has a trend, cycles are counted instead of problem time, and those that are
// left follow from the trend. Pauses of the machine are left out.
//
// The band spans the paces that the run has had, but for its start, since they may come
// again. It is widened by what real runs were seen to change later, which is more the
// more is left. It needs two samples with a second and some problem time between them.
func (e Estimator) Forecast(end float64) (Forecast, bool) {
	n := len(e.samples)
	if n < 2 || !(end > e.samples[n-1].Problem) || math.IsInf(end, 0) {
		return Forecast{}, false
	}
	plain, ok := e.work(end).forecast()
	if !ok {
		return Forecast{}, false
	}
	if cycles, trend := e.cyclesLeft(end); trend > 0 {
		if counted, ok := e.workOf(cycles).forecast(); ok {
			plain = plain.toward(counted, trend)
		}
	}
	first, last := e.samples[0].Problem, e.samples[n-1].Problem
	rest := (end/2 - last/2) / (end/2 - first/2) // of the run's problem time; halves stay finite
	plain.low /= 1.1 + .4*rest*rest
	plain.high *= 1.1 + .8*rest*rest
	if math.IsNaN(plain.likely) || math.IsInf(plain.likely, 0) {
		return Forecast{}, false
	}
	return Forecast{wallTime(plain.likely), wallTime(plain.low), wallTime(plain.high)}, true
}

// seconds are those that a run will take, by one way of counting what it does.
type seconds struct{ likely, low, high float64 }

// toward is the geometric mean of two, in which the other has the given weight of 0 to 1.
func (s seconds) toward(other seconds, weight float64) seconds {
	mean := func(a, b float64) float64 { return math.Pow(a, 1-weight) * math.Pow(b, weight) }
	return seconds{mean(s.likely, other.likely), mean(s.low, other.low), mean(s.high, other.high)}
}

// work is a history in which the run's progress is counted in what takes equally
// long: problem time or, where the time step has a trend, cycles.
type work struct {
	wall []float64 // seconds since the first Sample, without pauses
	done []float64
	left float64
}

// forecast takes what is left at the paces of what was done.
func (w work) forecast() (seconds, bool) {
	n := len(w.wall)
	recent, ok := w.pace(w.window(recentShare), n-1)
	if !ok {
		recent, ok = w.pace(0, n-1)
	}
	if !ok {
		return seconds{}, false
	}
	likely := math.Sqrt(recent) * math.Sqrt(w.steadyPace(recent))
	low, high := w.extremes(likely)
	return seconds{likely * w.left, low * w.left, high * w.left}, true
}

// wallTime rounds to seconds, within what a Duration holds.
func wallTime(s float64) time.Duration {
	if !(s > 0) {
		return 0
	}
	return time.Duration(math.Round(min(s, maxSeconds))) * time.Second
}

func (e Estimator) work(end float64) work {
	n := len(e.samples)
	w := work{wall: make([]float64, n), done: make([]float64, n), left: end - e.samples[n-1].Problem}
	for i, s := range e.samples {
		w.wall[i], w.done[i] = float64(s.Wall-e.samples[0].Wall), s.Problem
	}
	w.dropPauses()
	return w
}

// workOf counts the history in cycles, of which some are left.
func (e Estimator) workOf(cycles float64) work {
	n := len(e.samples)
	w := work{wall: make([]float64, n), done: make([]float64, n), left: cycles}
	for i, s := range e.samples {
		w.wall[i], w.done[i] = float64(s.Wall-e.samples[0].Wall), float64(s.Cycle)
	}
	w.dropPauses()
	return w
}

// dropPauses takes the time of pauses out: steps that were many times slower than the
// run, and few. A machine that was suspended or a disk that was full says nothing
// about what comes. Steps that are slow again and again do.
func (w work) dropPauses() {
	n := len(w.wall)
	if n < pauseRarity/2 {
		return
	}
	took := make([]float64, 0, n) // wall time of a unit of work, in each step
	for i := 1; i < n; i++ {
		took = append(took, (w.wall[i]-w.wall[i-1])/(w.done[i]-w.done[i-1]))
	}
	sorted := slices.Clone(took)
	slices.Sort(sorted)
	usual := sorted[len(sorted)/2]
	isPause := func(i int, step float64) bool { return step > minPause && took[i-1] > pauseFactor*usual }
	pauses := 0
	for i := 1; i < n; i++ {
		if isPause(i, w.wall[i]-w.wall[i-1]) {
			pauses++
		}
	}
	if pauses == 0 || pauses > max(1, n/pauseRarity) {
		return
	}
	dropped, before := 0.0, w.wall[0]
	for i := 1; i < n; i++ {
		step := w.wall[i] - before
		before = w.wall[i]
		if isPause(i, step) {
			dropped += step - usual*(w.done[i]-w.done[i-1])
		}
		w.wall[i] -= dropped
	}
}

// window is the first sample of the last part of the wall time.
func (w work) window(share float64) int {
	n := len(w.wall)
	span := max(share*w.wall[n-1], minWindow)
	i := sort.SearchFloat64s(w.wall, w.wall[n-1]-span)
	return max(0, min(i, n-1-minSteps))
}

// pace is the wall time of a unit of work between two samples.
func (w work) pace(from, to int) (float64, bool) {
	p := (w.wall[to] - w.wall[from]) / (w.done[to] - w.done[from])
	return p, p > 0 && !math.IsInf(p, 0)
}

// extremes are the fastest and the slowest pace of this one, the whole run's and those
// of its parts but the first.
func (w work) extremes(pace float64) (low, high float64) {
	n := len(w.wall)
	low, high = pace, pace
	span := func(from, to int) {
		if p, ok := w.pace(from, to); ok {
			low, high = min(low, p), max(high, p)
		}
	}
	span(0, n-1)
	for k := 1; k < bandParts; k++ {
		to := n - 1
		if k < bandParts-1 {
			to = w.window(1 - float64(k+1)/bandParts)
		}
		if from := w.window(1 - float64(k)/bandParts); to-from >= minSteps {
			span(from, to)
		}
	}
	return low, high
}

// steadyPace is the pace of the longest of the windows within which all shorter ones
// agree.
func (w work) steadyPace(otherwise float64) float64 {
	best, from := otherwise, len(w.wall)
	low, high := math.Inf(-1), math.Inf(1)
	for _, share := range steadyShares {
		i := w.window(share)
		p, ok := w.pace(i, len(w.wall)-1)
		if !ok || i >= from {
			continue
		}
		l := math.Log(p)
		if l < low || l > high {
			break
		}
		best, from = p, i
		low, high = max(low, l-steadyRange), min(high, l+steadyRange)
	}
	return best
}

// What makes a trend of the time step: over the newer half of what was done the cycles
// for a unit of problem time have risen or fallen, and in its second half about as much
// as in its first. Steps and noise are no trend. A trend counts the more the clearer it
// is, from noTrend to sureTrend: an estimate that is made in one way now and in another a
// moment later would jump.
const (
	trendShare   = .5
	noTrend      = .05
	sureTrend    = .15
	maxTrendBend = 4
)

// cyclesLeft returns the cycles from the last sample to the end time where the time
// step has a trend. They are taken to go on linearly for each unit of problem time,
// as in a part that is compressed more and more: the step falls with 1/t there.
func (e Estimator) cyclesLeft(end float64) (cycles, trend float64) {
	n := len(e.samples)
	last := e.samples[n-1].Problem
	begin := last - trendShare*(last-e.samples[0].Problem)
	var cut [4]int // samples that divide it into three
	for k := range cut {
		at := begin + (last-begin)*float64(k)/3
		cut[k] = min(sort.Search(n, func(i int) bool { return e.samples[i].Problem >= at }), n-1)
	}
	var density, middle [3]float64
	for k := range density {
		a, b := e.samples[cut[k]], e.samples[cut[k+1]]
		if cut[k] == cut[k+1] || a.Cycle <= 0 || b.Cycle <= a.Cycle {
			return 0, 0
		}
		density[k] = float64(b.Cycle-a.Cycle) / (b.Problem - a.Problem)
		middle[k] = a.Problem/2 + b.Problem/2
	}
	first, second := (density[1]-density[0])/(middle[1]-middle[0]), (density[2]-density[1])/(middle[2]-middle[1])
	bend := first / second
	rise := math.Abs(density[2]-density[0]) / density[1]
	if !(bend > 0) || !(rise > noTrend) {
		return 0, 0
	}
	trend = min(1, (rise-noTrend)/(sureTrend-noTrend)) * max(0, min(1, 2-2*math.Abs(math.Log(bend))/math.Log(maxTrendBend)))
	slope := (density[2] - density[0]) / (middle[2] - middle[0])
	mean := (density[0] + density[1] + density[2]) / 3
	now := mean + slope*(last-middle[1])
	ahead := mean + slope*(last/2+end/2-middle[1])
	if !(now > 0) {
		return 0, 0
	}
	// A trend does not go on for ever.
	cycles = (end - last) * min(max(ahead, now/3), 5*now)
	if !(cycles > 0) || math.IsInf(cycles, 0) {
		return 0, 0
	}
	return cycles, trend
}
