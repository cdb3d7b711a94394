// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package eta estimates how long a run will still take, from its progress lines.
package eta

import (
	"cmp"
	"slices"
)

// MaxSamples bounds the history that an Estimator keeps.
const MaxSamples = 256

// Estimator estimates how long a run will still take, from the wall clock, problem
// time and cycle of its progress lines. LS-DYNA's own estimate is printed once and
// has a median error above 100 %. Forecast says how it is done.
type Estimator struct {
	samples []Sample // the newest last; wall does not fall, problem time rises
	gap     int64    // least seconds between two kept samples
	ahead   int64    // seconds that were added to a clock that was set back
}

// Sample is one progress line.
type Sample struct {
	Wall    int64 // seconds
	Problem float64
	Cycle   int64 // 0 not known
}

// Len is how many samples are kept.
func (e Estimator) Len() int { return len(e.samples) }

// Samples returns the samples, the oldest first. The copy is the caller's.
func (e Estimator) Samples() []Sample { return slices.Clone(e.samples) }

// Span returns the first and the last of the samples; zero values where there are none.
func (e Estimator) Span() (first, last Sample) {
	if len(e.samples) > 0 {
		first, last = e.samples[0], e.samples[len(e.samples)-1]
	}
	return first, last
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
		if t > last.Problem && wall >= last.Wall && wall-e.samples[n-2].Wall < max(e.gap, 1) {
			*last = Sample{wall, t, cycle}
			return
		}
	}
	if n > 0 && wall < e.samples[n-1].Wall-clockJitter {
		back := e.samples[n-1].Wall - wall
		if t < e.samples[n-1].Problem || back > maxSetBack {
			// Another run's lines begin: they cannot be compared with those before.
			*e, wall = Estimator{}, wall-e.ahead
		} else {
			e.ahead += back
			wall += back
		}
	}
	e.put(Sample{wall, t, cycle})
}

// maxWall is beyond any date that an output can hold. It keeps sums in range.
const maxWall = 1 << 40

// put takes a sample that is not older than the last.
func (e *Estimator) put(s Sample) {
	n := len(e.samples)
	for n > 0 && s.Problem < e.samples[n-1].Problem { // a step is tried again with a smaller dt
		n--
		e.samples = e.samples[:n]
	}
	if n > 0 {
		s.Wall = max(s.Wall, e.samples[n-1].Wall)
	}
	switch {
	case n > 0 && s.Problem == e.samples[n-1].Problem:
		e.samples[n-1] = s
		return
	case n > 1 && s.Wall-e.samples[n-2].Wall < max(e.gap, 1):
		e.samples[n-1] = s
		return
	}
	if n == MaxSamples {
		e.thin()
	}
	e.samples = append(e.samples, s)
}

// thin keeps every other Sample, and the newest.
func (e *Estimator) thin() {
	n := len(e.samples)
	e.gap = max(2*e.gap, 2*(e.samples[n-1].Wall-e.samples[0].Wall)/int64(n))
	kept := 0
	for i := 0; i < n-1; i += 2 {
		e.samples[kept] = e.samples[i]
		kept++
	}
	e.samples[kept] = e.samples[n-1]
	e.samples = e.samples[:kept+1]
}

// Clone is an Estimator with the same history, which then goes on by itself.
func (e Estimator) Clone() Estimator {
	e.samples = slices.Clone(e.samples)
	return e
}

// Merge makes one history of those of a run's outputs. Each holds other lines:
// stdout is written late, status.out is written anew with one line. The first has the
// run's clock. One whose clock differs from it is moved by the difference that it shows
// at equal problem times.
func Merge(all []Estimator) Estimator {
	var merged Estimator
	for _, e := range all {
		if len(merged.samples) == 0 {
			merged = e.Clone()
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
		s.Wall += behind
		lines = append(lines, s)
	}
	slices.SortStableFunc(lines, func(a, b Sample) int {
		return cmp.Or(cmp.Compare(a.Wall, b.Wall), cmp.Compare(a.Problem, b.Problem))
	})
	for _, s := range lines {
		if n := len(merged.samples); n > 0 && s.Problem < merged.samples[n-1].Problem && s.Wall <= merged.samples[n-1].Wall+clockJitter {
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
		if wall, ok := e.wallAt(s.Problem); ok {
			behind = append(behind, wall-s.Wall)
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
	i, found := slices.BinarySearchFunc(e.samples, t, func(s Sample, t float64) int { return cmp.Compare(s.Problem, t) })
	switch {
	case found:
		return e.samples[i].Wall, true
	case i == 0 || i == len(e.samples):
		return 0, false
	}
	a, b := e.samples[i-1], e.samples[i]
	part := (t/2 - a.Problem/2) / (b.Problem/2 - a.Problem/2) // halves stay finite
	return a.Wall + int64(part*float64(b.Wall-a.Wall)), part >= 0 && part <= 1
}
