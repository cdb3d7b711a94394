// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"slices"
	"time"
)

// maxSamples bounds the history that an Estimator keeps.
const maxSamples = 256

// Estimator tells how long a run will still take, from its problem time and the
// wall clock beside it.
type Estimator struct {
	Wall    []int64   `json:"wall,omitempty"` // seconds
	Problem []float64 `json:"t,omitempty"`
	Gap     int64     `json:"gap,omitempty"` // least seconds between two kept samples
}

// Add notes that at a wall clock time, in seconds, the run was at problem time t.
func (e *Estimator) Add(wall int64, t float64) {
	n := len(e.Wall)
	switch {
	case n > 0 && (t < e.Problem[n-1] || wall < e.Wall[n-1]):
		// A restart, or the clock was set back: the old pace may be another's.
		*e = Estimator{}
	case n > 1 && wall-e.Wall[n-2] < max(e.Gap, 1):
		e.Wall[n-1], e.Problem[n-1] = wall, t
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

func (e Estimator) clone() Estimator {
	e.Wall = slices.Clone(e.Wall)
	e.Problem = slices.Clone(e.Problem)
	return e
}

// Remaining estimates the wall time until the run reaches its end time. It is
// not known before two samples with a second and some problem time between.
func (e Estimator) Remaining(end float64) (time.Duration, bool) {
	n := len(e.Wall)
	if n < 2 || !(end > e.Problem[n-1]) {
		return 0, false
	}
	wall, t := e.Wall[n-1]-e.Wall[0], e.Problem[n-1]-e.Problem[0]
	if wall <= 0 || !(t > 0) {
		return 0, false
	}
	return seconds(int64(float64(wall) * (end - e.Problem[n-1]) / t)), true
}

func (e Estimator) valid() bool { return len(e.Wall) == len(e.Problem) && len(e.Wall) <= maxSamples }
