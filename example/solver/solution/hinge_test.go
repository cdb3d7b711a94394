// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package solution

import (
	"math"
	"testing"
)

// The fold's gradient must be the derivative of its angle, or bending makes
// energy out of nothing.
func TestFoldGradientIsTheDerivativeOfItsAngle(t *testing.T) {
	x := []float64{0, 0, 0, 1, 0.1, 0, 1.2, 1, 0.3, 0, 1.1, 0.2, -0.1, -0.9, 0.25, 1.1, -1, 0.1}
	nodes := []int32{0, 1, 2, 3, 4, 5}
	base, ok := newFold(x, nodes)
	if !ok {
		t.Fatal("no fold")
	}
	const h = 1e-6
	for slot := range 6 {
		for k := range 3 {
			moved := append([]float64(nil), x...)
			moved[3*slot+k] += h
			up, _ := newFold(moved, nodes)
			moved[3*slot+k] -= 2 * h
			down, _ := newFold(moved, nodes)
			want := (up.angle - down.angle) / (2 * h)
			got := base.grad[slot/2+1][k] / 2
			if slot < 2 {
				got = base.grad[slot][k]
			}
			if math.Abs(got-want) > 1e-6 {
				t.Errorf("node %d direction %d: gradient %g, derivative %g", slot, k, got, want)
			}
		}
	}
}
