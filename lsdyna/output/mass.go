// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/lines"

// sign takes a line that tells that the solution goes on.
func (r *Reader) sign([]byte) { r.facts.Signs++ }

// addedMass takes `    added mass   =   1.2000E-06`, printed before the first cycle of a
// run with mass scaling.
func (r *Reader) addedMass(rest []byte) {
	if m, ok := lines.AfterEquals(rest); ok {
		r.facts.Mass = Mass{HasAddedMass: true, AddedMass: m}
	}
}

// physicalMass takes `    physical mass=   1.4040E-03`, printed below the added one.
func (r *Reader) physicalMass(rest []byte) {
	m, ok := lines.AfterEquals(append([]byte("="), rest...))
	if f := &r.facts; ok && m > 0 && f.HasAddedMass {
		f.AddedMassPercent = 100 * f.AddedMass / m
	}
}

// massIncrease takes ` percentage increase =   2.2936E+04`.
func (r *Reader) massIncrease(rest []byte) {
	if percent, ok := lines.AfterEquals(append([]byte("="), rest...)); ok {
		r.facts.HasAddedMass, r.facts.AddedMassPercent = true, percent
	}
}
