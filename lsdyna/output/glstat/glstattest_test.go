// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package glstat

import (
	"fmt"
	"strings"
)

// heading is the beginning of a glstat.
const heading = " CRUSH OF A BOX                                                          \n                    ls-dyna smp d R14 R14.0_515_8a12796 date 12/12/2022\n"

// block is what a test's block tells.
type block struct {
	cycle                        int
	time, dt                     float64
	kinetic, internal, hourglass float64
	ratio                        float64
	mass, percent                float64
	noHourglass, noMass, noRatio bool
	wall                         bool
}

// text is the block as R14 prints it.
func (b block) text() string {
	var out strings.Builder
	fmt.Fprintf(&out, "\n\n dt of cycle%8d is controlled by shell %14d of part %9d\n\n", b.cycle, 4711, 12)
	row := func(name string, v float64) {
		fmt.Fprintf(&out, " %s%s%14.5E\n", name, strings.Repeat(".", 31-len(name)), v)
	}
	row("time", b.time)
	row("time step", b.dt)
	row("kinetic energy", b.kinetic)
	row("internal energy", b.internal)
	if b.wall {
		fmt.Fprintf(&out, " stonewall energy...............%14.5E wall#%2d\n", 3., 1)
	}
	row("spring and damper energy", 1e-20)
	if !b.noHourglass {
		row("hourglass energy ", b.hourglass)
	}
	row("system damping energy", 0)
	row("sliding interface energy", -2)
	row("external work", 0)
	row("eroded kinetic energy", 7)
	row("eroded internal energy", 8)
	row("eroded hourglass energy", 9)
	row("total energy", b.kinetic+b.internal+b.hourglass)
	if !b.noRatio {
		row("total energy / initial energy", b.ratio)
		fmt.Fprintf(&out, " energy ratio w/o eroded energy.%14.5E\n", b.ratio/2)
	}
	row("global x velocity", 1)
	row("dissipated kinetic energy", 11)
	row("dissipated internal energy", 12)
	fmt.Fprintf(&out, " time per zone cycle.(nanosec)..%14d\n", 5)
	out.WriteString("\n\n number of shell elements that  \n reached the minimum time step..    0\n")
	if !b.noMass {
		out.WriteString("\n\n")
		row("added mass", b.mass)
		row("percentage increase", b.percent)
	}
	return out.String()
}

// at is an ordinary block at a time.
func at(time float64) block {
	return block{cycle: int(time*1e5) + 1, time: time, dt: 1e-5, kinetic: 900, internal: 100, hourglass: 5, ratio: 1.01, mass: 0.002, percent: 1.5}
}
