// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/example/solver/ranks"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/example/solver/solution"
)

// exchange is the solution's Exchange over the ranks.
func exchange(r *ranks.Ranks, p *solution.Partition) solution.Exchange {
	if r.Size == 1 {
		return nil
	}
	return func(step float64, bad int, force []float64) (float64, int, error) {
		mine, first := step, bad
		err := r.Trade(func(n int) []byte {
			b := make([]byte, 0, 16+24*len(p.Send[n]))
			b = appendFloats(b, mine)
			b = binary.LittleEndian.AppendUint64(b, uint64(int64(first)))
			for _, slot := range p.Send[n] {
				b = appendFloats(b, force[3*slot:3*slot+3]...)
			}
			return b
		}, func(int) bool { return true }, func(n int, b []byte) error {
			if len(b) != 16+24*len(p.Receive[n]) {
				return fmt.Errorf("%d bytes, but %d slots are shared", len(b), len(p.Receive[n]))
			}
			step = min(step, floatAt(b, 0))
			if other := int(int64(binary.LittleEndian.Uint64(b[8:]))); other >= 0 && (bad < 0 || other < bad) {
				bad = other
			}
			for i, slot := range p.Receive[n] {
				for k := range 3 {
					force[3*int(slot)+k] = floatAt(b, 2+3*i+k)
				}
			}
			return nil
		})
		return step, bad, err
	}
}

// collect brings the whole state together on rank 0.
func collect(r *ranks.Ranks, p *solution.Partition, others []solution.Partition, s *solution.State) error {
	if r.Size == 1 {
		return nil
	}
	return r.Trade(func(n int) []byte {
		if r.Rank == 0 || n > 0 {
			return nil
		}
		b := []byte{}
		walkState(p, s, func(v []float64) { b = appendFloats(b, v...) })
		return b
	}, func(n int) bool { return r.Rank == 0 }, func(n int, b []byte) error {
		at, err := 0, error(nil)
		walkState(&others[n], s, func(v []float64) {
			for i := range v {
				if 8*at+8 > len(b) {
					err = fmt.Errorf("its state is cut short")
					return
				}
				v[i] = floatAt(b, at)
				at++
			}
		})
		return err
	})
}

// walkState visits what a rank owns of a state, in a fixed order.
func walkState(p *solution.Partition, s *solution.State, visit func([]float64)) {
	for _, n := range p.Owned {
		visit(s.X[3*n : 3*n+3])
		visit(s.V[3*n : 3*n+3])
		visit(s.A[3*n : 3*n+3])
		visit(s.Stopped[n : n+1])
	}
	for _, e := range p.Elements {
		visit(s.Stress[6*e : 6*e+6])
		visit(s.Strain[e : e+1])
		visit(s.Internal[e : e+1])
		visit(s.Hourglass[e : e+1])
	}
}

func appendFloats(b []byte, v ...float64) []byte {
	for _, f := range v {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
	}
	return b
}

func floatAt(b []byte, i int) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
}
