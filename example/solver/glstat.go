// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/example/solver/solution"
)

// Growing is an output file that a restart goes on with: cut to the length it
// had when the dump was written, so that it ends up as without the stop.
type Growing struct {
	file *os.File
	size int64
}

// openGrowing opens name at the given length; 0 begins it anew.
func openGrowing(name string, size int64) (*Growing, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open output: %w", err)
	}
	if info, err := file.Stat(); err == nil && info.Size() < size {
		size = 0 // the file is gone or another: what is left to write starts a new one
	}
	if err := file.Truncate(size); err != nil {
		return nil, fmt.Errorf("open output: %w", err)
	}
	return &Growing{file, size}, nil
}

func (g *Growing) write(b []byte) error {
	n, err := g.file.WriteAt(b, g.size)
	g.size += int64(n)
	if err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// glstatHead is the beginning of glstat.
func glstatHead(title string, id identity) string {
	return fmt.Sprintf(" %-72.72s\n                    ls-dyna %s %s date %s\n", title, id.version(), underlined, built)
}

// unsound is what a run's statistics show that it does not have.
type unsound struct {
	drift   float64 // the energy ratio is so many times too large
	percent float64 // of added mass
}

// glstatRecord is one record of global statistics.
func glstatRecord(cycle int, t, dt float64, kind uint8, element int, e solution.Energies, initial float64, wrong unsound) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n\n dt of cycle %7d is controlled by %s %9d\n\n", cycle, kindNames[kind], element)
	row := func(name string, v float64) {
		fmt.Fprintf(&b, " %s%s   %s\n", name, strings.Repeat(".", max(0, 31-len(name))), fortran(v, 5))
	}
	ratio := 1.0
	if initial != 0 {
		ratio = e.Total() / initial * wrong.drift
	}
	row("time", t)
	row("time step", dt)
	row("kinetic energy", e.Kinetic)
	row("internal energy", e.Internal)
	row("stonewall energy", e.Stonewall)
	row("spring and damper energy", 0)
	row("hourglass energy ", e.Hourglass)
	row("system damping energy", 0)
	row("sliding interface energy", 0)
	row("external work", 0)
	row("eroded kinetic energy", 0)
	row("eroded internal energy", 0)
	row("eroded hourglass energy", 0)
	row("total energy", e.Total())
	row("total energy / initial energy", ratio)
	row("energy ratio w/o eroded energy", ratio)
	row("global x velocity", e.Velocity[0])
	row("global y velocity", e.Velocity[1])
	row("global z velocity", e.Velocity[2])
	b.WriteString("\n\n")
	row("added mass", e.Mass*wrong.percent/100)
	row("percentage increase", wrong.percent)
	return b.String()
}

var kindNames = [...]string{solution.Solid: "solid", solution.Shell: "shell", solution.Beam: "beam ", solution.Hinge: "shell"}
