// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/example/solver/solution"
)

// The d3plot database as the LS-DYNA Database manual describes it: a control
// section of 64 words, geometry, user's numbers, an end marker, then states in
// the family files d3plot01, d3plot02, … Words are 8 bytes in double precision
// and 4 in single. The time of the run (word 11) is left at 0, so that equal
// runs write equal files.
const (
	controlWords = 64
	plotVersion  = 970
	endOfPlot    = -999999.0
	familyWords  = 7 * 512 * 512 // a family file is closed above this size
	blockWords   = 512

	solidWords = 7  // six stresses and the plastic strain
	beamWords  = 6  // axial force, two shears, two moments, torque
	shellWords = 33 // three layers of 7, eight resultants, four others
	globals    = 6
	partWords  = 7
)

// plotPosition is where a family stands; it travels in restart files.
type plotPosition struct {
	File int   // number of the family file, 0 before the first state
	Size int64 // its length in bytes
}

// D3plot writes the plot database.
type D3plot struct {
	prefix string
	word   int // bytes in a word
	at     plotPosition
	file   *Growing
}

// words collects a block of the database.
type words struct {
	b    []byte
	size int
}

func (w *words) float(v float64) {
	if w.size == 4 {
		w.b = binary.LittleEndian.AppendUint32(w.b, math.Float32bits(float32(v)))
	} else {
		w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(v))
	}
}

func (w *words) floats(v []float64) {
	for _, f := range v {
		w.float(f)
	}
}

func (w *words) int(v int) {
	if w.size == 4 {
		w.b = binary.LittleEndian.AppendUint32(w.b, uint32(int32(v)))
	} else {
		w.b = binary.LittleEndian.AppendUint64(w.b, uint64(int64(v)))
	}
}

// text fills n words with blank padded text.
func (w *words) text(s string, n int) {
	w.b = append(w.b, fmt.Sprintf("%-*.*s", n*w.size, n*w.size, s)...)
}

// createD3plot writes the root file d3plot and begins the family.
func createD3plot(prefix string, word int, m *solution.Model) (*D3plot, error) {
	w := &words{size: word}
	w.control(m)
	w.floats(m.Start)
	w.connectivity(m)
	w.numbers(m)
	w.float(endOfPlot)
	for len(w.b)%(blockWords*word) != 0 {
		w.float(0)
	}
	if err := os.WriteFile(prefix+"d3plot", w.b, 0o644); err != nil {
		return nil, fmt.Errorf("write d3plot: %w", err)
	}
	return &D3plot{prefix: prefix, word: word}, nil
}

// resumeD3plot goes on where a dump was written.
func resumeD3plot(prefix string, word int, at plotPosition) (*D3plot, error) {
	p := &D3plot{prefix: prefix, word: word, at: at}
	if at.File == 0 {
		return p, nil
	}
	for n := at.File + 1; os.Remove(p.name(n)) == nil; n++ {
	}
	var err error
	p.file, err = openGrowing(p.name(at.File), at.Size)
	return p, err
}

func (p *D3plot) name(n int) string { return fmt.Sprintf("%sd3plot%02d", p.prefix, n) }

func (w *words) control(m *solution.Model) {
	w.text(m.Title, 10)
	nodes, c := len(m.NodeIDs), m.Count
	list := 10 + nodes + c[solution.Solid] + c[solution.Shell] + c[solution.Beam]
	w.int(0)         // 11 time of the run
	w.int(1)         // 12 file type: d3plot
	w.int(0)         // 13 source version
	w.text("R14", 1) // 14 release
	w.float(plotVersion)
	for _, v := range []int{
		4,                                // 16 NDIM: three dimensions, unpacked connectivity
		nodes,                            // 17 NUMNP
		6,                                // 18 ICODE
		globals + partWords*len(m.Props), // 19 NGLBV
		0, 1, 1, 1,                       // 20-23 IT, IU, IV, IA: positions, velocities, accelerations
		c[solution.Solid], len(m.Props), 0, 0, solidWords, // 24-28 NEL8, NUMMAT8, -, -, NV3D
		c[solution.Beam], len(m.Props), beamWords, // 29-31 NEL2, NUMMAT2, NV1D
		c[solution.Shell], len(m.Props), shellWords, // 32-34 NEL4, NUMMAT4, NV2D
		0, 0, 3, // 35-37 NEIPH, NEIPS, MAXINT
		0, 0, list, // 38-40 NMSPH, NGPSPH, NARBS
		0, 0, 0, // 41-43 NELT, NUMMATT, NV3DT
		1000, 1000, 1000, 1000, // 44-47 IOSHL: stress, strain, resultants, others are there
	} {
		w.int(v)
	}
	for len(w.b) < controlWords*w.size {
		w.int(0)
	}
}

// each calls f for the elements of a kind.
func each(m *solution.Model, kind uint8, f func(e int)) {
	for e, k := range m.Kind {
		if k == kind {
			f(e)
		}
	}
}

func (w *words) connectivity(m *solution.Model) {
	element := func(e int) {
		for slot := m.Slot[e]; slot < m.Slot[e+1]; slot++ {
			w.int(int(m.Nodes[slot]) + 1)
		}
	}
	each(m, solution.Solid, func(e int) { element(e); w.int(int(m.Prop[e]) + 1) })
	each(m, solution.Beam, func(e int) { element(e); w.int(0); w.int(0); w.int(0); w.int(int(m.Prop[e]) + 1) })
	each(m, solution.Shell, func(e int) { element(e); w.int(int(m.Prop[e]) + 1) })
}

// numbers is the section of arbitrary numbering: ten words, then the lists.
func (w *words) numbers(m *solution.Model) {
	nodes, c := len(m.NodeIDs), m.Count
	at := 1
	for _, n := range []int{0, nodes, c[solution.Solid], c[solution.Beam], c[solution.Shell]} {
		at += n
		w.int(at) // NSORT, NSRH, NSRB, NSRS, NSRT: where each list begins
	}
	for _, n := range []int{nodes, c[solution.Solid], c[solution.Beam], c[solution.Shell], 0} {
		w.int(n)
	}
	for _, id := range m.NodeIDs {
		w.int(id)
	}
	for _, kind := range []uint8{solution.Solid, solution.Beam, solution.Shell} {
		each(m, kind, func(e int) { w.int(m.IDs[e]) })
	}
}

// state appends one state. The run's state must be whole.
func (p *D3plot) state(m *solution.Model, s *solution.State, g solution.Energies) error {
	w := &words{size: p.word}
	w.float(s.Time)
	w.floats([]float64{g.Kinetic, g.Internal, g.Total(), g.Velocity[0], g.Velocity[1], g.Velocity[2]})
	for _, v := range partSums(m, s) {
		w.floats(v[:])
	}
	w.floats(s.X)
	w.floats(s.V)
	w.floats(s.A)
	history := func(e int) []float64 { return s.Stress[6*e : 6*e+6] }
	each(m, solution.Solid, func(e int) { w.floats(history(e)); w.float(s.Strain[e]) })
	each(m, solution.Beam, func(e int) {
		w.float(history(e)[0] * m.Props[m.Prop[e]].Area)
		w.floats(make([]float64, beamWords-1))
	})
	each(m, solution.Shell, func(e int) { w.shell(m, e, history(e), s) })

	if p.file == nil || p.file.size+int64(len(w.b)) > familyWords*int64(p.word) && p.file.size > 0 {
		if p.file != nil {
			_ = p.file.file.Close()
		}
		p.at.File++
		file, err := openGrowing(p.name(p.at.File), 0)
		if err != nil {
			return err
		}
		p.file = file
	}
	// The marker after the last state is overwritten by the next one.
	end := &words{size: p.word}
	end.float(endOfPlot)
	if err := p.file.write(append(w.b, end.b...)); err != nil {
		return err
	}
	p.file.size -= int64(p.word)
	p.at.Size = p.file.size
	return nil
}

func (w *words) shell(m *solution.Model, e int, st []float64, s *solution.State) {
	for range 3 { // layers
		w.floats([]float64{st[0], st[1], 0, st[2], 0, 0, s.Strain[e]})
	}
	t := m.Props[m.Prop[e]].Thickness
	w.floats([]float64{0, 0, 0, 0, 0, st[0] * t, st[1] * t, st[2] * t}) // moments, shears, forces
	w.floats([]float64{t, 0, 0, s.Internal[e]})
}

// partSums is, for each part: internal and kinetic energy, velocity, mass and
// hourglass energy. Nodal values are not split over parts: they are left 0.
func partSums(m *solution.Model, s *solution.State) [][partWords]float64 {
	sums := make([][partWords]float64, len(m.Props))
	for e := range m.Kind {
		sums[m.Prop[e]][0] += s.Internal[e]
		sums[m.Prop[e]][6] += s.Hourglass[e]
	}
	return sums
}
