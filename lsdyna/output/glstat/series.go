// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package glstat

import (
	"math"
	"slices"
)

// MaxSamples bounds the series. Of more blocks every second one is kept, then every
// fourth, and so on, so that it covers the whole time evenly.
const MaxSamples = 256

// series keeps samples in the order of their problem time.
type series struct {
	kept   []Sample
	last   Sample
	blocks int64
	stride int64 // every so many blocks one is kept; 0 for 1
	index  int64 // of the next block

	largestDt, largestInternal, largestTotal float64
}

// add takes the next block. Where its time is not after that of the last one the run
// has gone on from a dump, into the same file: what came after that dump is not this
// run's.
func (s *series) add(b Sample) {
	if s.blocks > 0 && b.Time <= s.last.Time {
		s.cut(b.Time)
	}
	s.note(&b)
	s.blocks++
	s.last = b
	index := s.index
	s.index++
	if s.isDue(index) && len(s.kept) == MaxSamples-1 { // with room for the last one
		s.thin()
	}
	if s.isDue(index) {
		s.kept = append(s.kept, b)
	}
}

func (s *series) isDue(index int64) bool { return index%max(s.stride, 1) == 0 }

// cut drops the samples from a problem time on.
func (s *series) cut(from float64) {
	n := len(s.kept)
	for n > 0 && s.kept[n-1].Time >= from {
		n--
	}
	s.kept = s.kept[:n]
	s.largestDt, s.largestInternal, s.largestTotal = 0, 0, 0
	if n == 0 {
		s.last, s.blocks, s.stride, s.index = Sample{}, 0, 0, 0
		return
	}
	s.index = int64(n) * max(s.stride, 1)
	s.last = s.kept[n-1]
	for i := range s.kept {
		s.note(&s.kept[i])
	}
}

// note keeps the largest values.
func (s *series) note(b *Sample) {
	s.largestDt = max(s.largestDt, amount(b, Dt))
	s.largestInternal = max(s.largestInternal, amount(b, Internal))
	s.largestTotal = max(s.largestTotal, amount(b, Total))
}

// amount is the absolute value of a quantity; 0 where it is not known or not finite.
func amount(b *Sample, q Quantity) float64 {
	if v, ok := b.Value(q); ok && isFinite(v) {
		return math.Abs(v)
	}
	return 0
}

// thin drops every second sample.
func (s *series) thin() {
	half := (len(s.kept) + 1) / 2
	for i := range half {
		s.kept[i] = s.kept[2*i]
	}
	s.kept = s.kept[:half]
	s.stride = max(s.stride, 1) * 2
}

// stats is what the series tells.
func (s *series) stats() Stats {
	out := Stats{
		Blocks: s.blocks, Last: s.last, Series: slices.Clone(s.kept),
		LargestDt: s.largestDt, LargestInternal: s.largestInternal, LargestTotal: s.largestTotal,
	}
	if n := len(out.Series); n > 0 && out.Series[n-1].Time != s.last.Time {
		out.Series = append(out.Series, s.last)
	}
	return out
}
