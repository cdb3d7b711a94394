// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package eta

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// left is the likely remaining time of a run that ends at 1.
func (e Estimator) left(t *testing.T) time.Duration {
	t.Helper()
	f, ok := e.Forecast(1)
	must.True(t, ok)
	must.LessEq(t, f.Likely, f.Low)
	must.LessEq(t, f.High, f.Likely)
	return f.Likely
}

// addEven adds progress at an even pace: 10 s for each hundredth.
func (e *Estimator) addEven(from, to int) {
	for i := from; i <= to; i++ {
		e.Add(100_000+int64(i)*10, float64(i)*.01, int64(i)*100)
	}
}

func TestEstimator_evenPace(t *testing.T) {
	var e Estimator
	_, ok := e.Forecast(1)
	must.False(t, ok)
	e.Add(100_000, 0, 1)
	_, ok = e.Forecast(1)
	must.False(t, ok)
	e.addEven(0, 50)
	must.Between(t, 499*time.Second, e.left(t), 501*time.Second)
	for _, end := range []float64{.5, .3, -1, math.NaN(), math.Inf(1)} {
		_, ok = e.Forecast(end)
		must.False(t, ok, must.Sprint(end))
	}
}

func TestEstimator_followsAChangeOfPace(t *testing.T) {
	var e Estimator
	wall := int64(0)
	for i := 1; i <= 60; i++ { // mass scaling ends at a third: three times slower
		if wall += 10; i > 20 {
			wall += 20
		}
		e.Add(wall, float64(i)*.01, int64(i))
	}
	must.Between(t, 1190*time.Second, e.left(t), 1210*time.Second) // 40 steps of 30 s
}

func TestEstimator_countsCyclesWhereTheStepFalls(t *testing.T) {
	var e Estimator
	for i := range 51 { // the step falls with 1/t: t² counts the cycles, of 1 s
		x := float64(i) * .01
		e.Add(int64(10_000*x*x), x, 1+int64(10_000*x*x))
	}
	must.Between(t, 7200*time.Second, e.left(t), 7800*time.Second) // of 10,000 cycles 7,500 are left
}

func TestEstimator_leavesAPauseOut(t *testing.T) {
	var e Estimator
	e.addEven(0, 40)
	for i := 41; i <= 50; i++ { // the machine slept for ten hours
		e.Add(136_000+int64(i)*10, float64(i)*.01, int64(i)*100)
	}
	must.Between(t, 499*time.Second, e.left(t), 510*time.Second)
}

func TestEstimator_keepsStepsThatAreSlowAgainAndAgain(t *testing.T) {
	var e Estimator
	wall := int64(0)
	for i := range 51 {
		if wall += 2; i%5 == 0 { // the model is adapted
			wall += 100
		}
		e.Add(wall, float64(i)*.01, int64(i))
	}
	must.Between(t, 900*time.Second, e.left(t), 1400*time.Second) // 50 steps and ten times 100 s
}

func TestEstimator_stepTriedAgain(t *testing.T) {
	var e Estimator
	for i := range 500 {
		e.Add(100_000+int64(i), float64(i)*.001, int64(i)*10)
	}
	e.Add(100_500, .48, 5000)
	for i := 480; i <= 500; i++ {
		e.Add(100_021+int64(i), float64(i)*.001, int64(i)*10)
	}
	must.Between(t, 490*time.Second, e.left(t), 700*time.Second)
	must.True(t, slices.IsSortedFunc(e.samples, func(a, b Sample) int { return cmp.Compare(a.Problem, b.Problem) }))
}

func TestEstimator_goesOnWhenTheClockIsSetBack(t *testing.T) {
	for name, by := range map[string]int64{"summer time ends": 3600, "set right": 30} {
		t.Run(name, func(t *testing.T) {
			var e Estimator
			e.addEven(0, 25)
			for i := 26; i <= 50; i++ {
				e.Add(100_000+int64(i)*10-by, float64(i)*.01, int64(i)*100)
			}
			must.Between(t, 480*time.Second, e.left(t), 510*time.Second)
		})
	}
}

func TestEstimator_beginsAnewWithAnotherRunsLines(t *testing.T) {
	for name, run := range map[string][3]Sample{
		"much earlier":         {{10_000, .1, 0}, {20_000, .2, 0}, {5_000, .3, 0}},
		"earlier and not done": {{10_000, .5, 0}, {10_100, .6, 0}, {9_000, .3, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			var e Estimator
			for _, s := range run {
				e.Add(s.Wall, s.Problem, s.Cycle)
			}
			_, ok := e.Forecast(1)
			must.False(t, ok)
			e.Add(run[2].Wall+100, .4, 0)
			must.Eq(t, 600*time.Second, e.left(t))
		})
	}
}

func TestMergeRates(t *testing.T) {
	var stdout, shifted, one, same Estimator
	stdout.addEven(0, 20)
	for i := 10; i <= 40; i++ {
		shifted.Add(100_000+7200+int64(i)*10, float64(i)*.01, int64(i)*100)
	}
	one.Add(100_500, .5, 5000)
	for i := range 21 { // a second later, with less
		same.Add(100_001+int64(i)*10, float64(i)*.01-1e-6, int64(i)*100)
	}
	for name, tc := range map[string]struct {
		all  []Estimator
		left time.Duration
	}{
		"one":                         {[]Estimator{stdout}, 800 * time.Second},
		"with one newer line":         {[]Estimator{stdout, one}, 500 * time.Second},
		"one newer line first":        {[]Estimator{one, {}, stdout}, 500 * time.Second},
		"another clock":               {[]Estimator{stdout, shifted}, 600 * time.Second},
		"the same twice":              {[]Estimator{stdout, stdout}, 800 * time.Second},
		"the same, a little later":    {[]Estimator{stdout, same}, 800 * time.Second},
		"all":                         {[]Estimator{stdout, same, shifted, one}, 500 * time.Second},
		"two with one line each":      {[]Estimator{{samples: stdout.samples[:1]}, one}, 500 * time.Second},
		"what is merged twice is one": {[]Estimator{Merge([]Estimator{stdout, one}), one}, 500 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			merged := Merge(tc.all)
			left := merged.left(t)
			must.Between(t, tc.left-15*time.Second, left, tc.left+15*time.Second)
			must.LessEq(t, MaxSamples, len(merged.samples))
		})
	}
	must.Eq(t, Estimator{}, Merge(nil))
	must.Len(t, 21, stdout.samples, must.Sprint("what is merged is not changed"))
}

func TestMergeRates_staysBounded(t *testing.T) {
	var all []Estimator
	for k := range 5 {
		var e Estimator
		for i := range 5000 {
			e.Add(int64(i*7+k), float64(i)+float64(k)/7, int64(i))
		}
		all = append(all, e)
	}
	must.LessEq(t, MaxSamples, len(Merge(all).samples))
}

func FuzzEstimator(f *testing.F) {
	f.Add(int64(0), 0.0, int64(10), 0.1, int64(20), 0.2, 1.0)
	f.Add(int64(-5), -1e300, int64(1<<62), 1e300, int64(0), 5e-324, math.Inf(1))
	f.Add(int64(3), math.NaN(), int64(4), math.Inf(-1), int64(1<<40), 1e308, 1.7e308)
	f.Fuzz(func(t *testing.T, w1 int64, t1 float64, w2 int64, t2 float64, w3 int64, t3 float64, end float64) {
		var e, other Estimator
		for i := range int64(20) {
			e.Add(w1, t1, w3)
			e.Add(w2+i, t2*float64(i), w2)
			e.Add(w3, t3, w1*i)
			other.Add(w3-i, t2/float64(i), i)
			other.Add(w2, t1*float64(i), w2)
		}
		for _, e := range []Estimator{e, other, Merge([]Estimator{e, other})} {
			f, ok := e.Forecast(end)
			must.True(t, f.Low >= 0 && f.Low <= f.Likely && f.Likely <= f.High)
			must.True(t, ok || f == Forecast{})
			again, _ := e.Forecast(end)
			must.Eq(t, f, again)
		}
	})
}
