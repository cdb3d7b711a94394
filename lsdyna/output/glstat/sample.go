// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package glstat

import "math"

// Quantity is one of the values of a block. Energies, masses and times have the units of
// the deck, which no output names.
type Quantity uint8

// The quantities that are kept of a block.
const (
	Dt               Quantity = iota // time step
	Kinetic                          // kinetic energy
	Internal                         // internal energy, with that of eroded elements
	Total                            // total energy
	Ratio                            // total energy / (initial energy + external work); LS-DYNA calls it "total energy / initial energy"
	RatioUneroded                    // the same without the energy of eroded elements
	Hourglass                        // hourglass energy; only with HGEN = 2 of *CONTROL_ENERGY
	Sliding                          // energy of contacts
	AddedMass                        // by mass scaling
	AddedMassPercent                 // of the physical mass, in per cent
	quantities
)

// Sample is what one block of the statistics tells: the state at one problem time.
type Sample struct {
	Time  float64 // problem time
	Cycle int64   // 0 not known

	values [quantities]float64
	known  uint16 // one bit for each quantity
}

// Value returns a quantity; ok is false where the block does not tell it. A value that
// the solver prints as NaN, Infinity or asterisks is NaN.
func (s *Sample) Value(q Quantity) (v float64, ok bool) {
	if q >= quantities || s.known&(1<<q) == 0 {
		return 0, false
	}
	return s.values[q], true
}

// Set sets a quantity.
func (s *Sample) Set(q Quantity, v float64) {
	if q < quantities {
		s.values[q] = v
		s.known |= 1 << q
	}
}

// takeMissing takes what a sample does not tell from the one before it.
func (s *Sample) takeMissing(before *Sample, which ...Quantity) {
	for _, q := range which {
		if v, ok := before.Value(q); ok && s.known&(1<<q) == 0 {
			s.Set(q, v)
		}
	}
}

// Point is a value at a problem time.
type Point struct{ Time, Value float64 }

// Stats is what was read up to now. It is a value that nobody changes.
type Stats struct {
	Blocks   int64    // in the file, of this run and, where it goes on from a dump, of those before it
	Last     Sample   // the newest block
	Series   []Sample // over the whole time, the oldest first, at most MaxSamples; Last is its last
	Controls string   // what controls the newest time step, as the solver says it: "shell 4711 of part 12"; "" not known

	LargestDt, LargestInternal, LargestTotal float64 // up to now, by their amounts; 0 not known
}

// Value is the newest value of a quantity, with the problem time of its block.
func (s *Stats) Value(q Quantity) (p Point, ok bool) {
	if s == nil {
		return Point{}, false
	}
	if v, known := s.Last.Value(q); known {
		return Point{s.Last.Time, v}, true
	}
	for i := len(s.Series) - 1; i >= 0; i-- {
		if v, known := s.Series[i].Value(q); known {
			return Point{s.Series[i].Time, v}, true
		}
	}
	return Point{}, false
}

// Points are the finite values of a quantity over the problem time, to be drawn.
func (s *Stats) Points(q Quantity) []Point {
	if s == nil {
		return nil
	}
	points := make([]Point, 0, len(s.Series))
	for i := range s.Series {
		if v, ok := s.Series[i].Value(q); ok && isFinite(v) {
			points = append(points, Point{s.Series[i].Time, v})
		}
	}
	return points
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
