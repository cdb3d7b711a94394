// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"cmp"
	"slices"
)

// maxSamples bounds the history that an Estimator keeps.
const maxSamples = 256

// Estimator estimates how long a run will still take, from the wall clock, problem
// time and cycle of its progress lines. LS-DYNA's own estimate is printed once and
// has a median error above 100 %. Forecast says how it is done.
type Estimator struct {
	samples []sample // the newest last; wall does not fall, problem time rises
	gap     int64    // least seconds between two kept samples
	ahead   int64    // seconds that were added to a clock that was set back
}

// sample is one progress line.
type sample struct {
	wall    int64 // seconds
	problem float64
	cycle   int64 // 0 not known
}

// Bounds of what differs between the lines of one run. Buffers are written in turn,
// so a line may come after one that is up to clockJitter seconds newer. In autumn a
// clock is set back by an hour, and no clock that tells a run's pace by more.
const (
	clockJitter = 2
	maxSetBack  = 3600 + 60
)

// Add takes a progress line: at this wall clock time, in seconds, the run was at
// problem time t, in this cycle. Numbers that are none are left out.
func (e *Estimator) Add(wall int64, t float64, cycle int64) {
	if t-t != 0 || wall < 0 || wall > maxWall { // t is NaN or infinite
		return
	}
	wall += e.ahead
	n := len(e.samples)
	if n > 1 { // most lines of a large output only move the last sample
		last := &e.samples[n-1]
		if t > last.problem && wall >= last.wall && wall-e.samples[n-2].wall < max(e.gap, 1) {
			*last = sample{wall, t, cycle}
			return
		}
	}
	if n > 0 && wall < e.samples[n-1].wall-clockJitter {
		back := e.samples[n-1].wall - wall
		if t < e.samples[n-1].problem || back > maxSetBack {
			// Another run's lines begin: they cannot be compared with those before.
			*e, wall = Estimator{}, wall-e.ahead
		} else {
			e.ahead += back
			wall += back
		}
	}
	e.put(sample{wall, t, cycle})
}

// maxWall is beyond any date that an output can hold. It keeps sums in range.
const maxWall = 1 << 40

// put takes a sample that is not older than the last.
func (e *Estimator) put(s sample) {
	n := len(e.samples)
	for n > 0 && s.problem < e.samples[n-1].problem { // a step is tried again with a smaller dt
		n--
		e.samples = e.samples[:n]
	}
	if n > 0 {
		s.wall = max(s.wall, e.samples[n-1].wall)
	}
	switch {
	case n > 0 && s.problem == e.samples[n-1].problem:
		e.samples[n-1] = s
		return
	case n > 1 && s.wall-e.samples[n-2].wall < max(e.gap, 1):
		e.samples[n-1] = s
		return
	}
	if n == maxSamples {
		e.thin()
	}
	e.samples = append(e.samples, s)
}

// thin keeps every other sample, and the newest.
func (e *Estimator) thin() {
	n := len(e.samples)
	e.gap = max(2*e.gap, 2*(e.samples[n-1].wall-e.samples[0].wall)/int64(n))
	kept := 0
	for i := 0; i < n-1; i += 2 {
		e.samples[kept] = e.samples[i]
		kept++
	}
	e.samples[kept] = e.samples[n-1]
	e.samples = e.samples[:kept+1]
}

func (e Estimator) clone() Estimator {
	e.samples = slices.Clone(e.samples)
	return e
}

// mergeRates makes one history of those of a run's outputs. Each holds other lines:
// stdout is written late, status.out is written anew with one line. The first has the
// run's clock. One whose clock differs from it is moved by the difference that it shows
// at equal problem times.
func mergeRates(all []Estimator) Estimator {
	var merged Estimator
	for _, e := range all {
		if len(merged.samples) == 0 {
			merged = e.clone()
		} else if len(e.samples) > 0 {
			merged = merged.merge(e)
		}
	}
	return merged
}

func (e Estimator) merge(other Estimator) Estimator {
	merged := Estimator{gap: max(e.gap, other.gap), ahead: e.ahead}
	behind := e.clockOf(other)
	lines := slices.Clone(e.samples)
	for _, s := range other.samples {
		s.wall += behind
		lines = append(lines, s)
	}
	slices.SortStableFunc(lines, func(a, b sample) int {
		return cmp.Or(cmp.Compare(a.wall, b.wall), cmp.Compare(a.problem, b.problem))
	})
	for _, s := range lines {
		if n := len(merged.samples); n > 0 && s.problem < merged.samples[n-1].problem && s.wall <= merged.samples[n-1].wall+clockJitter {
			continue // the same step, printed to another output a moment later
		}
		merged.put(s)
	}
	return merged
}

// clockOf returns the seconds by which another history's clock is behind this one's,
// by their problem times; 0 where they have none in common.
func (e Estimator) clockOf(other Estimator) int64 {
	var behind []int64
	for _, s := range other.samples {
		if wall, ok := e.wallAt(s.problem); ok {
			behind = append(behind, wall-s.wall)
		}
	}
	if len(behind) == 0 {
		return 0
	}
	slices.Sort(behind)
	by := behind[len(behind)/2]
	if by >= -max(clockJitter, e.gap) && by <= max(clockJitter, e.gap) {
		return 0 // as exact as the samples are
	}
	return by
}

// wallAt is when the run was at a problem time within the history.
func (e Estimator) wallAt(t float64) (int64, bool) {
	i, found := slices.BinarySearchFunc(e.samples, t, func(s sample, t float64) int { return cmp.Compare(s.problem, t) })
	switch {
	case found:
		return e.samples[i].wall, true
	case i == 0 || i == len(e.samples):
		return 0, false
	}
	a, b := e.samples[i-1], e.samples[i]
	part := (t/2 - a.problem/2) / (b.problem/2 - a.problem/2) // halves stay finite
	return a.wall + int64(part*float64(b.wall-a.wall)), part >= 0 && part <= 1
}
