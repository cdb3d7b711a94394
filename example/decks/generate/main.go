// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Command generate writes the meshes of the example decks. Run it in
// example/decks: go run ./generate. Units are mm, ms, kg, kN, GPa.
package main

import (
	"fmt"
	"math"
	"os"
	"strings"
)

func main() {
	for path, text := range map[string]string{
		"shell_box_crush/mesh.k":       box(100, 312.5, 16, 50),
		"shell_box_crush/mesh_small.k": box(100, 200, 6, 12),
		"solid_bar_impact/mesh.k":      bar(3.2, 32.4, 3, 18),
		"error_negative_volume/mesh.k": bar(5, 20, 2, 6),
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

const head = "$ Written by example/decks/generate; units mm, ms, kg, kN, GPa.\n*KEYWORD\n"

// box is a square tube along z, open at both ends: side and length in mm,
// elements along a side and along the length. Its far end carries a mass, and a
// dent near the wall makes it fold.
func box(side, length float64, around, along int) string {
	var b strings.Builder
	b.WriteString(head + "*NODE\n")
	ring := 4 * around
	for k := 0; k <= along; k++ {
		z := length * float64(k) / float64(along)
		for i := range ring {
			x, y := onSquare(i, around, side)
			if k == 2 { // the dent: two sides in, two sides out
				x, y = x*0.99, y*1.01
			}
			fmt.Fprintf(&b, "%d,%.6g,%.6g,%.6g\n", k*ring+i+1, x, y, z)
		}
	}
	b.WriteString("*ELEMENT_SHELL\n")
	for k := range along {
		for i := range ring {
			j := (i + 1) % ring
			fmt.Fprintf(&b, "%d,1,%d,%d,%d,%d\n", k*ring+i+1, k*ring+i+1, k*ring+j+1, (k+1)*ring+j+1, (k+1)*ring+i+1)
		}
	}
	const payload = 100.0 // kg
	b.WriteString("*ELEMENT_MASS\n")
	for i := range ring {
		fmt.Fprintf(&b, "%8d%8d%16.8f\n", 900001+i, along*ring+i+1, payload/float64(ring))
	}
	return b.String() + "*END\n"
}

func onSquare(i, around int, side float64) (x, y float64) {
	t := side * (float64(i%around)/float64(around) - 0.5)
	switch i / around {
	case 0:
		return t, -side / 2
	case 1:
		return side / 2, t
	case 2:
		return -t, side / 2
	default:
		return -side / 2, -t
	}
}

// bar is a round bar along z: radius and length in mm, half the elements across
// and the elements along.
func bar(radius, length float64, half, along int) string {
	var b strings.Builder
	b.WriteString(head + "*NODE\n")
	across := 2 * half
	layer := (across + 1) * (across + 1)
	for k := 0; k <= along; k++ {
		for j := 0; j <= across; j++ {
			for i := 0; i <= across; i++ {
				x, y := onDisc(float64(i)/float64(half)-1, float64(j)/float64(half)-1)
				fmt.Fprintf(&b, "%d,%.6g,%.6g,%.6g\n", k*layer+j*(across+1)+i+1, radius*x, radius*y, length*float64(k)/float64(along))
			}
		}
	}
	b.WriteString("*ELEMENT_SOLID\n")
	n := 0
	for k := range along {
		for j := range across {
			for i := range across {
				n++
				a := k*layer + j*(across+1) + i + 1
				c := a + layer
				fmt.Fprintf(&b, "%d,1,%d,%d,%d,%d,%d,%d,%d,%d\n", n, a, a+1, a+across+2, a+across+1, c, c+1, c+across+2, c+across+1)
			}
		}
	}
	return b.String() + "*END\n"
}

// onDisc maps the square -1..1 to a disc, square in the middle and round at the
// rim, so that no element becomes a sliver.
func onDisc(x, y float64) (float64, float64) {
	r := max(math.Abs(x), math.Abs(y))
	if r == 0 {
		return 0, 0
	}
	round := r / math.Hypot(x, y) // onto the circle of radius r
	f := (1-r)*0.85 + r*round
	return x * f, y * f
}
