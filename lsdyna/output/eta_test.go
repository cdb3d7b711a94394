// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/fortran"
)

func TestEstimator_evenPace(t *testing.T) {
	var e Estimator
	_, ok := e.Remaining(1)
	must.False(t, ok)
	e.Add(1000, 0)
	_, ok = e.Remaining(1)
	must.False(t, ok)
	for i := range 51 {
		e.Add(1000+int64(i)*10, float64(i)*.01)
	}
	left, ok := e.Remaining(1)
	must.True(t, ok)
	must.Between(t, 499*time.Second, left, 501*time.Second)
	_, ok = e.Remaining(.5)
	must.False(t, ok, must.Sprint("already there"))
	_, ok = e.Remaining(math.NaN())
	must.False(t, ok)
}

func TestEstimator_followsAChangeOfPace(t *testing.T) {
	var e Estimator
	wall := int64(0)
	for i := 1; i <= 60; i++ { // mass scaling ends at a third: three times slower
		if wall += 10; i > 20 {
			wall += 20
		}
		e.Add(wall, float64(i)*.01)
	}
	left, _ := e.Remaining(1)
	must.Between(t, 1050*time.Second, left, 1220*time.Second) // 40 steps of 30 s are 1200 s
}

func TestEstimator_stepTriedAgain(t *testing.T) {
	var e Estimator
	for i := range 50 {
		e.Add(int64(i)*10, float64(i)*.01)
	}
	e.Add(500, .48)
	e.Add(510, .49)
	left, ok := e.Remaining(1)
	must.True(t, ok)
	must.Between(t, 490*time.Second, left, 600*time.Second)
	must.True(t, slices.IsSorted(e.problem))
}

func TestEstimator_clockSetBackBeginsAnew(t *testing.T) {
	var e Estimator
	e.Add(10_000, .1)
	e.Add(10_100, .2)
	e.Add(5_000, .3)
	_, ok := e.Remaining(1)
	must.False(t, ok)
	e.Add(5_100, .4)
	left, ok := e.Remaining(1)
	must.True(t, ok)
	must.Eq(t, 600*time.Second, left)
}

func FuzzEstimator(f *testing.F) {
	f.Add(int64(0), 0.0, int64(10), 0.1, int64(20), 0.2, 1.0)
	f.Add(int64(-5), -1e300, int64(1<<62), 1e300, int64(0), 5e-324, math.Inf(1))
	f.Fuzz(func(t *testing.T, w1 int64, t1 float64, w2 int64, t2 float64, w3 int64, t3 float64, end float64) {
		if math.IsNaN(t1) || math.IsNaN(t2) || math.IsNaN(t3) {
			t.Skip("progress lines hold no NaN")
		}
		var e Estimator
		for range 3 {
			e.Add(w1, t1)
			e.Add(w2, t2)
			e.Add(w3, t3)
		}
		left, ok := e.Remaining(end)
		must.True(t, left >= 0)
		must.True(t, ok || left == 0)
	})
}

// history is the wall clock and problem time of a run's progress lines.
type history struct {
	name string
	wall []int64
	t    []float64
}

// at is the history up to sample k.
func (h history) at(k int) history { return history{h.name, h.wall[:k+1], h.t[:k+1]} }

// overall is the estimate elapsed × end/t.
func (h history) overall(end float64) float64 {
	n := len(h.t) - 1
	return float64(h.wall[n]-h.wall[0]) * (end - h.t[n]) / (h.t[n] - h.t[0])
}

// halfWindow is the pace of the newer half of what was done.
func (h history) halfWindow(end float64) float64 {
	n := len(h.t) - 1
	from := 0
	for i, t := range h.t {
		if t <= h.t[0]+(h.t[n]-h.t[0])/2 {
			from = i
		}
	}
	return float64(h.wall[n]-h.wall[from]) * (end - h.t[n]) / (h.t[n] - h.t[from])
}

func (h history) ours(end float64) float64 {
	var e Estimator
	for i := range h.t {
		e.Add(h.wall[i], h.t[i])
	}
	left, _ := e.Remaining(end)
	return left.Seconds()
}

// errorsAt are the relative errors of an estimate where between lo and hi of
// the run are done.
func (h history) errorsAt(lo, hi float64, estimate func(history, float64) float64) []float64 {
	n := len(h.t) - 1
	var errs []float64
	for k := 2; k < n; k++ {
		done := (h.t[k] - h.t[0]) / (h.t[n] - h.t[0])
		left := float64(h.wall[n] - h.wall[k])
		if done >= lo && done <= hi && left > 0 && h.t[k] > h.t[0] {
			errs = append(errs, math.Abs(estimate(h.at(k), h.t[n])-left)/left)
		}
	}
	return errs
}

func median(v []float64) float64 {
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// realHistories are the samples with enough progress lines. A run that was killed
// counts as one that ended there.
func realHistories(tb testing.TB) []history {
	dir := filepath.Join("..", "..", "..", "shared", "samples")
	var all []history
	for _, name := range []string{"r14-smp-completed-implicit.stdout", "r14-smp-sigterm-a.stdout", "r14-smp-sigterm-b.stdout", "mlp6-gauss-pml.messag"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		h := history{name: name}
		for line := range bytes.Lines(data) {
			line = bytes.TrimRight(line, "\r\n")
			if !isProgress(line) || len(line) < colClockEnd {
				continue
			}
			t, _ := fortran.Float(line[colTime:colTimeEnd])
			wall, ok := wallClock(line[colDate:colDateEnd], line[colClock:colClockEnd])
			if n := len(h.t); !ok || n > 0 && wall < h.wall[n-1] {
				h.wall, h.t = nil, nil // the first line of the implicit sample is an older run's
			}
			h.wall, h.t = append(h.wall, wall), append(h.t, t)
		}
		all = append(all, h)
	}
	return all
}

// madeHistories are runs that behave like real ones: at an even pace, slower or
// faster to the end, with a slow start, with a pace that drifts; each with noise and
// stalls.
func madeHistories() []history {
	pace := map[string]func(x, walk float64) float64{
		"even":     func(x, _ float64) float64 { return 1 },
		"slower":   func(x, _ float64) float64 { return 1 + .4*x },
		"faster":   func(x, _ float64) float64 { return 1.4 - .4*x },
		"starting": func(x, _ float64) float64 { return 1 + 2*math.Exp(-x/.03) },
		"walking":  func(_, walk float64) float64 { return walk },
	}
	var all []history
	for name, p := range pace {
		for seed := range uint64(20) {
			r := rand.New(rand.NewPCG(seed, 4))
			steps := []int{50, 100, 300, 2000}[seed%4]
			h, wall, walk := history{name: name}, 0.0, 1.0
			for i := range steps + 1 {
				h.wall, h.t = append(h.wall, int64(wall)), append(h.t, float64(i)/float64(steps))
				walk *= math.Exp(r.NormFloat64() * .3 / math.Sqrt(float64(steps)))
				wall += p(h.t[i], walk) * 20_000 / float64(steps) * math.Exp(r.NormFloat64()*.15)
				if r.IntN(200) == 0 {
					wall += 300
				}
			}
			all = append(all, h)
		}
	}
	return all
}

type etaAim struct {
	share float64 // of the run done
	most  float64 // median error that is aimed at
}

var etaAims = []etaAim{{.1, .20}, {.5, .12}, {.75, .12}}

// etaMedians are the medians over all runs of each run's own median error.
func etaMedians(runs []history, share float64) (ours, overall, half float64, count int) {
	var a, b, c []float64
	for _, h := range runs {
		if e := h.errorsAt(.8*share, 1.2*share, history.ours); len(e) > 0 {
			a = append(a, median(e))
			b = append(b, median(h.errorsAt(.8*share, 1.2*share, history.overall)))
			c = append(c, median(h.errorsAt(.8*share, 1.2*share, history.halfWindow)))
		}
	}
	if len(a) == 0 {
		return 0, 0, 0, 0
	}
	return median(a), median(b), median(c), len(a)
}

func TestEstimator_meetsItsAims(t *testing.T) {
	for kind, runs := range map[string][]history{"made": madeHistories(), "real": realHistories(t)} {
		for _, aim := range etaAims {
			ours, overall, half, count := etaMedians(runs, aim.share)
			t.Logf("%s runs, %2.0f %% done: ours %4.1f %%, elapsed × end/t %4.1f %%, half window %4.1f %% (%d runs)", kind, 100*aim.share, 100*ours, 100*overall, 100*half, count)
			must.LessEq(t, aim.most, ours)
		}
	}
}

// BenchmarkETA prints the median errors of the remaining time over all runs, and
// of each run by itself. Of the real ones there are few: two of them are so short
// that the clock's seconds alone make errors of some per cent, and one has eight
// lines in all.
func BenchmarkETA(b *testing.B) {
	runs := realHistories(b)
	if len(runs) == 0 {
		runs = madeHistories()
	}
	sets := map[string][]history{"all": runs}
	for _, h := range realHistories(b) {
		sets[h.name] = []history{h}
	}
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		for _, aim := range etaAims {
			benchETA(b, name, sets[name], aim.share)
		}
	}
}

func benchETA(b *testing.B, name string, runs []history, share float64) {
	if _, _, _, count := etaMedians(runs, share); count == 0 {
		return // no line of the run is near
	}
	b.Run(fmt.Sprintf("%s/at-%.0f%%", name, 100*share), func(b *testing.B) {
		var ours, overall, half float64
		var count int
		for b.Loop() {
			ours, overall, half, count = etaMedians(runs, share)
		}
		b.ReportMetric(100*ours, "%ours")
		b.ReportMetric(100*overall, "%elapsed×end/t")
		b.ReportMetric(100*half, "%half-window")
		b.ReportMetric(float64(count), "runs")
	})
}
