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
	Wall    []int64   `json:"wall,omitempty"` // seconds
	Problem []float64 `json:"t,omitempty"`    // rising
	Gap     int64     `json:"gap,omitempty"`  // least seconds between two kept samples
}

// Add takes a sample: at this wall clock time, in seconds, the run was at problem
// time t.
func (e *Estimator) Add(wall int64, t float64) {
	n := len(e.Wall)
	if n > 0 && wall < e.Wall[n-1]-2 {
		// The clock was set back, or another run's lines begin: the samples
		// before cannot be compared with those that come.
		*e, n = Estimator{}, 0
	}
	for n > 0 && t < e.Problem[n-1] { // a step is tried again with a smaller dt
		n--
		e.Wall, e.Problem = e.Wall[:n], e.Problem[:n]
	}
	switch {
	case n > 0 && t == e.Problem[n-1]:
		e.Wall[n-1] = max(wall, e.Wall[n-1])
		return
	case n > 1 && wall-e.Wall[n-2] < max(e.Gap, 1):
		e.Wall[n-1], e.Problem[n-1] = max(wall, e.Wall[n-1]), t
		return
	}
	if n == maxSamples {
		e.thin()
	}
	e.Wall = append(e.Wall, wall)
	e.Problem = append(e.Problem, t)
}

// thin keeps every other sample, and the newest.
func (e *Estimator) thin() {
	n := len(e.Wall)
	e.Gap = max(2*e.Gap, 2*(e.Wall[n-1]-e.Wall[0])/int64(n))
	kept := 0
	for i := 0; i < n-1; i += 2 {
		e.Wall[kept], e.Problem[kept] = e.Wall[i], e.Problem[i]
		kept++
	}
	e.Wall[kept], e.Problem[kept] = e.Wall[n-1], e.Problem[n-1]
	e.Wall, e.Problem = e.Wall[:kept+1], e.Problem[:kept+1]
}

// Remaining estimates the wall time from the last sample until the run reaches
// its end time. The rest of the problem time is taken at the mean pace of the
// samples, weighted by problem time and by how recent they are. Time without a
// sample does not change it. It needs two samples with a second and some problem
// time between them.
func (e Estimator) Remaining(end float64) (time.Duration, bool) {
	n := len(e.Wall)
	if n < 2 || !(end > e.Problem[n-1]) {
		return 0, false
	}
	last := e.Problem[n-1]
	reach := memoryShare * (last - e.Problem[0])
	var wall, problem float64
	for i := 1; i < n; i++ {
		weight := math.Exp((e.Problem[i]/2 + e.Problem[i-1]/2 - last) / reach)
		wall += weight * float64(e.Wall[i]-e.Wall[i-1])
		problem += weight * (e.Problem[i] - e.Problem[i-1])
	}
	left := wall / problem * (end - last)
	if !(problem > 0) || !(wall > 0) || math.IsInf(left, 0) || math.IsNaN(left) {
		return 0, false
	}
	return seconds(int64(math.Round(min(left, 1e12)))), true
}

func (e Estimator) clone() Estimator {
	e.Wall = slices.Clone(e.Wall)
	e.Problem = slices.Clone(e.Problem)
	return e
}

func (e Estimator) valid() bool { return len(e.Wall) == len(e.Problem) && len(e.Wall) <= maxSamples }
