// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

import (
	"math/bits"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
)

// Unit is what is given out: a physical core, or a logical CPU where siblings are
// shared.
type Unit struct {
	Bind int        // the CPU a job is bound to
	Held cpuset.Set // the CPUs that go with it: managed ones of the core, or Bind alone
	core int        // physical core, as in topology.CPU
}

// Len returns the number of units.
func (g *Grid) Len() int { return len(g.units) }

// UnitOf returns the unit that a CPU belongs to, and its number; nil for a CPU that
// is not managed.
func (g *Grid) UnitOf(cpu int) (number int, u *Unit) {
	if number = g.unitOf[cpu]; number == topology.None {
		return number, nil
	}
	return number, &g.units[number]
}

// Without returns the units that hold none of the CPUs.
func (g *Grid) Without(taken cpuset.Set) Bitmap {
	var units Bitmap
	for i := range g.units {
		units.Set(i)
	}
	for index := range taken.All() {
		if u := g.unitOf[index]; u != topology.None {
			units.Clear(u)
		}
	}
	return units
}

// CPUs returns the CPUs of some units to bind to, and the CPUs that go with them.
func (g *Grid) CPUs(units *Bitmap) (bind, held cpuset.Set) {
	for w, word := range units {
		for ; word != 0; word &= word - 1 {
			u := &g.units[w<<6+bits.TrailingZeros64(word)]
			bind.Add(u.Bind)
			held = held.Union(u.Held)
		}
	}
	return bind, held
}
