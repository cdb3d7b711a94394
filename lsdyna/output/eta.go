// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"math"
	"slices"
	"time"
)

// maxSamples bounds the history that an Estimator keeps.
const maxSamples = 256

// memoryShare is how fast older samples lose weight: to 1/e at a distance of this
// part of the problem time done. With a smaller value the estimate follows single
// steps, with a larger one it keeps the slow beginning of an implicit run too long.
// BenchmarkETA measures it.
const memoryShare = 0.3

// Estimator estimates how long a run will still take, from pairs of problem time
// and wall clock. LS-DYNA's own estimate is printed once and has a median error
// above 100 %; the cycles of an implicit run do not rise evenly.
type Estimator struct {
	wall    []int64   // seconds
	problem []float64 // rising
	gap     int64     // least seconds between two kept samples
}

// Add takes a sample: at this wall clock time, in seconds, the run was at problem
// time t.
func (e *Estimator) Add(wall int64, t float64) {
	n := len(e.wall)
	if n > 0 && wall < e.wall[n-1]-2 {
		// The clock was set back, or another run's lines begin: the samples
		// before cannot be compared with those that come.
		*e, n = Estimator{}, 0
	}
	for n > 0 && t < e.problem[n-1] { // a step is tried again with a smaller dt
		n--
		e.wall, e.problem = e.wall[:n], e.problem[:n]
	}
	switch {
	case n > 0 && t == e.problem[n-1]:
		e.wall[n-1] = max(wall, e.wall[n-1])
		return
	case n > 1 && wall-e.wall[n-2] < max(e.gap, 1):
		e.wall[n-1], e.problem[n-1] = max(wall, e.wall[n-1]), t
		return
	}
	if n == maxSamples {
		e.thin()
	}
	e.wall = append(e.wall, wall)
	e.problem = append(e.problem, t)
}

// thin keeps every other sample, and the newest.
func (e *Estimator) thin() {
	n := len(e.wall)
	e.gap = max(2*e.gap, 2*(e.wall[n-1]-e.wall[0])/int64(n))
	kept := 0
	for i := 0; i < n-1; i += 2 {
		e.wall[kept], e.problem[kept] = e.wall[i], e.problem[i]
		kept++
	}
	e.wall[kept], e.problem[kept] = e.wall[n-1], e.problem[n-1]
	e.wall, e.problem = e.wall[:kept+1], e.problem[:kept+1]
}

// Remaining estimates the wall time from the last sample until the run reaches
// its end time. The rest of the problem time is taken at the mean pace of the
// samples, weighted by problem time and by how recent they are. Time without a
// sample does not change it. It needs two samples with a second and some problem
// time between them.
func (e Estimator) Remaining(end float64) (time.Duration, bool) {
	n := len(e.wall)
	if n < 2 || !(end > e.problem[n-1]) {
		return 0, false
	}
	last := e.problem[n-1]
	reach := memoryShare * (last - e.problem[0])
	var wall, problem float64
	for i := 1; i < n; i++ {
		weight := math.Exp((e.problem[i]/2 + e.problem[i-1]/2 - last) / reach)
		wall += weight * float64(e.wall[i]-e.wall[i-1])
		problem += weight * (e.problem[i] - e.problem[i-1])
	}
	left := wall / problem * (end - last)
	if !(problem > 0) || !(wall > 0) || math.IsInf(left, 0) || math.IsNaN(left) {
		return 0, false
	}
	return seconds(int64(math.Round(min(left, 1e12)))), true
}

func (e Estimator) clone() Estimator {
	e.wall = slices.Clone(e.wall)
	e.problem = slices.Clone(e.problem)
	return e
}
