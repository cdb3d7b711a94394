// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package solution is the explicit solution of the stand-in solver: central
// differences in time with lumped masses, over 8-node solids with one
// integration point and viscous hourglass control, 4-node shells, trusses, and
// planar rigid walls that nodes cannot pass.
//
// It is a genuine, simplified solution, there to make a processor, its memory
// and its caches work as such codes do. A shell is a one-point membrane in its
// own turning frame; it has no rotations, and bends through elastic-plastic
// hinges along the edges that two shells share. There is no contact but the
// walls, hardening is isotropic, strain rates do not matter.
//
// Results are the same to the last bit for every number of threads and ranks:
// each element writes its nodal forces to slots of its own, and each node adds
// its slots in the order of the elements. Nothing here touches files or
// sockets. Units are the deck's.
package solution

import (
	"fmt"
	"math"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/example/solver/deck"
)

// The kinds of element.
const (
	Solid uint8 = iota
	Shell
	Beam
	Hinge // the bending between two shells
)

// nodesOf is the number of nodes of each kind of element.
var nodesOf = [...]int{Solid: 8, Shell: 4, Beam: 2, Hinge: 6}

// stressWords is the room for each element's history: stress (solids 6,
// shells 3, trusses 1), or a hinge's rest angle and plastic angle.
const stressWords = 6

// Model is what does not change during a run. Exported fields travel in
// restart files.
type Model struct {
	Title   string
	NodeIDs []int
	Start   []float64 // coordinates, three a node
	Mass    []float64 // a node
	Fixed   []uint8   // a node: bits 1, 2, 4 fix x, y, z
	Walls   []deck.Wall
	Safe    float64 // TSSFAC

	Kind    []uint8
	Slot    []int32 // the element's first entry in Nodes; one more at the end
	Nodes   []int32 // nodes of all elements, one slot each
	IDs     []int   // the user's element number, 0 for hinges
	Prop    []int32 // index in Props
	Props   []Prop
	PartIDs []int // part number of each Prop
	Count   [4]int

	// From is the first slot entry of each node in Slots, one more at the end:
	// the gather lists.
	From  []int32
	Slots []int32
}

// Prop is a part's material and section, with what derives from them.
type Prop struct {
	Density, Young, Poisson float64
	Yield, Hardening        float64
	Shear, Lambda           float64
	Thickness, Area         float64
	Sound                   float64 // wave speed of the kind of element
}

// State is what changes. A copy of it, bit by bit, is a restart.
type State struct {
	Time          float64
	Step, OldStep float64
	Cycle         int
	FirstStep     float64
	X, V, A       []float64
	Stress        []float64
	Strain        []float64 // effective plastic strain, an element
	Internal      []float64 // internal energy, an element
	Hourglass     []float64 // hourglass energy, an element
	Stopped       []float64 // energy that walls took, a node
}

// Build turns a deck into a model and its initial state. The error list is in
// the deck's own words: code and text of LS-DYNA's structured input errors.
func Build(d *deck.Deck) (*Model, *State, []deck.Message) {
	b := &builder{deck: d, model: &Model{Title: d.Title, Walls: d.Walls, Safe: d.TimeStepSafe}, index: map[int]int32{}, props: map[int]int32{}}
	b.nodes()
	b.elements(Solid, d.Solids)
	b.elements(Shell, d.Shells)
	b.elements(Beam, d.Beams)
	if len(b.errors) == 0 {
		b.hinges()
	}
	b.model.Slot = append(b.model.Slot, int32(len(b.model.Nodes)))
	b.gatherLists()
	b.constraints()
	s := b.state()
	b.masses()
	if len(b.errors) == 0 && len(b.model.Kind) == 0 {
		b.fail(130, "no elements are defined")
	}
	return b.model, s, b.errors
}

type builder struct {
	deck   *deck.Deck
	model  *Model
	index  map[int]int32 // node number → index
	props  map[int]int32 // part number → index
	errors []deck.Message
}

func (b *builder) fail(code int, format string, args ...any) {
	b.errors = append(b.errors, deck.Message{Kind: deck.Error, Code: code, Text: fmt.Sprintf(format, args...)})
}

func (b *builder) nodes() {
	m := b.model
	for i, n := range b.deck.Nodes {
		if _, twice := b.index[n.ID]; twice {
			b.fail(119, "node # %d is defined more than once", n.ID)
			continue
		}
		b.index[n.ID] = int32(len(m.NodeIDs))
		m.NodeIDs = append(m.NodeIDs, n.ID)
		m.Start = append(m.Start, n.X, n.Y, n.Z)
		m.Fixed = append(m.Fixed, fixedByCode(b.deck.Nodes[i].TC))
	}
	m.Mass = make([]float64, len(m.NodeIDs))
}

// fixedByCode is the translational constraint code of the *NODE card.
func fixedByCode(tc int) uint8 {
	codes := [...]uint8{0, 1, 2, 4, 3, 6, 5, 7}
	if tc < 0 || tc >= len(codes) {
		return 0
	}
	return codes[tc]
}

func (b *builder) elements(kind uint8, list []deck.Element) {
	m := b.model
	for _, e := range list {
		prop, ok := b.prop(kind, e)
		if !ok {
			continue
		}
		slot := int32(len(m.Nodes))
		for _, id := range e.Nodes {
			n, ok := b.index[id]
			if !ok {
				b.fail(144, "node # %d of element # %d is not found", id, e.ID)
				break
			}
			m.Nodes = append(m.Nodes, n)
		}
		m.add(kind, slot, e.ID, prop)
	}
}

func (m *Model) add(kind uint8, slot int32, id int, prop int32) {
	m.Kind = append(m.Kind, kind)
	m.Slot = append(m.Slot, slot)
	m.IDs = append(m.IDs, id)
	m.Prop = append(m.Prop, prop)
	m.Count[kind]++
}

func (b *builder) prop(kind uint8, e deck.Element) (int32, bool) {
	if i, ok := b.props[e.Part]; ok {
		return i, i >= 0
	}
	b.props[e.Part] = -1 // complain once
	part, ok := b.deck.Parts[e.Part]
	if !ok {
		b.fail(145, "part # %d of element # %d is not found", e.Part, e.ID)
		return 0, false
	}
	mat, ok := b.deck.Materials[part.Material]
	if !ok {
		b.fail(146, "material # %d of part # %d is not found", part.Material, e.Part)
		return 0, false
	}
	sec, ok := b.deck.Sections[part.Section]
	if !ok {
		b.fail(147, "section # %d of part # %d is not found", part.Section, e.Part)
		return 0, false
	}
	if mat.Density <= 0 || mat.Young <= 0 || mat.Poisson <= -1 || mat.Poisson >= 0.5 {
		b.fail(148, "material # %d needs a density and Young's modulus above 0\nand a Poisson's ratio between -1 and 0.5", part.Material)
		return 0, false
	}
	if kind == Shell && sec.Thickness <= 0 || kind == Beam && sec.Area <= 0 {
		b.fail(149, "section # %d of part # %d has no thickness or area", part.Section, e.Part)
		return 0, false
	}
	i := int32(len(b.model.Props))
	b.props[e.Part] = i
	b.model.Props = append(b.model.Props, newProp(kind, mat, sec))
	b.model.PartIDs = append(b.model.PartIDs, e.Part)
	return i, true
}

func newProp(kind uint8, mat deck.Material, sec deck.Section) Prop {
	e, nu := mat.Young, mat.Poisson
	p := Prop{Density: mat.Density, Young: e, Poisson: nu, Yield: mat.Yield, Thickness: sec.Thickness, Area: sec.Area}
	p.Shear = e / (2 * (1 + nu))
	p.Lambda = e * nu / ((1 + nu) * (1 - 2*nu))
	if mat.Tangent > 0 && mat.Tangent < e {
		p.Hardening = e * mat.Tangent / (e - mat.Tangent)
	}
	switch kind {
	case Solid:
		p.Sound = math.Sqrt((p.Lambda + 2*p.Shear) / p.Density)
	case Shell:
		p.Sound = math.Sqrt(e / ((1 - nu*nu) * p.Density))
	default:
		p.Sound = math.Sqrt(e / p.Density)
	}
	return p
}

func (b *builder) gatherLists() {
	m := b.model
	n := len(m.NodeIDs)
	m.From = make([]int32, n+1)
	for _, node := range m.Nodes {
		m.From[node+1]++
	}
	for i := range n {
		m.From[i+1] += m.From[i]
	}
	next := append([]int32(nil), m.From...)
	m.Slots = make([]int32, len(m.Nodes))
	for slot, node := range m.Nodes { // ascending slots: the order of the sum
		m.Slots[next[node]] = int32(slot)
		next[node]++
	}
}

func (b *builder) constraints() {
	for _, c := range b.deck.Fixed {
		list := []int{c.Target}
		if c.Set {
			list = b.set(c.Target)
		}
		for _, id := range list {
			n, ok := b.index[id]
			if !ok {
				b.fail(144, "node # %d of *BOUNDARY_SPC is not found", id)
				continue
			}
			for bit, on := range [...]bool{c.X, c.Y, c.Z} {
				if on {
					b.model.Fixed[n] |= 1 << bit
				}
			}
		}
	}
}

func (b *builder) set(id int) []int {
	list, ok := b.deck.NodeSets[id]
	if !ok {
		b.fail(144, "node set # %d is not found", id)
	}
	return list
}

func (b *builder) state() *State {
	m := b.model
	n, e := len(m.NodeIDs), len(m.Kind)
	s := &State{
		X: append([]float64(nil), m.Start...), V: make([]float64, 3*n), A: make([]float64, 3*n),
		Stress: make([]float64, stressWords*e), Strain: make([]float64, e),
		Internal: make([]float64, e), Hourglass: make([]float64, e), Stopped: make([]float64, n),
	}
	for _, v := range b.deck.Moving {
		b.velocity(s, v)
	}
	for n := range m.NodeIDs {
		for k := range 3 {
			if m.Fixed[n]&(1<<k) != 0 {
				s.V[3*n+k] = 0
			}
		}
	}
	if len(b.errors) == 0 {
		for el, kind := range m.Kind {
			if kind == Hinge {
				s.Stress[stressWords*el] = m.hingeAngle(s.X, el)
			}
		}
	}
	return s
}

func (b *builder) velocity(s *State, v deck.Velocity) {
	set := func(n int32) { copy(s.V[3*n:3*n+3], v.V[:]) }
	switch {
	case v.Node != 0:
		if n, ok := b.index[v.Node]; ok {
			set(n)
		} else {
			b.fail(144, "node # %d of *INITIAL_VELOCITY_NODE is not found", v.Node)
		}
	case v.Set != 0:
		for _, id := range b.set(v.Set) {
			if n, ok := b.index[id]; ok {
				set(n)
			} else {
				b.fail(144, "node # %d of *INITIAL_VELOCITY is not found", id)
			}
		}
	default:
		for n := range b.model.NodeIDs {
			set(int32(n))
		}
	}
}

// masses lumps each element's mass on its nodes in equal parts.
func (b *builder) masses() {
	m := b.model
	if len(b.errors) > 0 {
		return
	}
	for e, kind := range m.Kind {
		p := &m.Props[m.Prop[e]]
		var total float64
		switch kind {
		case Solid:
			total = p.Density * m.volume(m.Start, e)
		case Shell:
			total = p.Density * p.Thickness * m.area(m.Start, e)
		case Beam:
			total = p.Density * p.Area * m.length(m.Start, e)
		}
		for _, n := range m.nodes(e) {
			m.Mass[n] += total / float64(nodesOf[kind])
		}
	}
	for _, extra := range b.deck.Masses {
		if n, ok := b.index[extra.Node]; ok {
			m.Mass[n] += extra.Mass
		} else {
			b.fail(144, "node # %d of *ELEMENT_MASS is not found", extra.Node)
		}
	}
}

func (m *Model) nodes(e int) []int32 {
	return m.Nodes[m.Slot[e]:][:nodesOf[m.Kind[e]]]
}

// Words is the memory that a run needs, in words: what the run really
// allocates for its model, state and nodal forces.
func (m *Model) Words() int {
	return 26*len(m.NodeIDs) + (stressWords+8)*len(m.Kind) + 6*len(m.Nodes) + 4096
}
