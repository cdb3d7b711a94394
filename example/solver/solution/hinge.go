// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package solution

import "math"

// hinges adds the bending between shells: one hinge along each edge that two
// shells of thickness share. Its six nodes are the edge's two, then the two far
// nodes of each shell.
func (b *builder) hinges() {
	m := b.model
	type side struct{ element, corner int }
	edges := map[[2]int32]side{}
	count := len(m.Kind)
	for e := range count {
		if m.Kind[e] != Shell {
			continue
		}
		n := m.nodes(e)
		for c := range 4 {
			i, j := n[c], n[(c+1)%4]
			if i == j {
				continue
			}
			key := [2]int32{min(i, j), max(i, j)}
			first, shared := edges[key]
			if !shared {
				edges[key] = side{e, c}
				continue
			}
			a := m.nodes(first.element)
			slot := int32(len(m.Nodes))
			m.Nodes = append(m.Nodes, a[first.corner], a[(first.corner+1)%4],
				a[(first.corner+2)%4], a[(first.corner+3)%4], n[(c+2)%4], n[(c+3)%4])
			// Hinges follow the order in which shells close edges: the map is
			// never walked, so the order is the deck's.
			b.model.add(Hinge, slot, m.IDs[first.element], m.Prop[first.element])
		}
	}
}

// fold is the geometry of a hinge: the angle between the two shells and how it
// changes with the positions of the edge's ends and of the far sides' middles.
type fold struct {
	angle  float64
	length float64
	height float64       // sum of the two sides' heights over the edge
	grad   [4][3]float64 // edge 1, edge 2, far side 1, far side 2
}

func newFold(x []float64, n []int32) (fold, bool) {
	p := [4]vec{at(x, n[0]), at(x, n[1]), middle(x, n[2], n[3]), middle(x, n[4], n[5])}
	e := p[1].sub(p[0])
	length := e.norm()
	n1 := p[2].sub(p[0]).cross(p[2].sub(p[1]))
	n2 := p[3].sub(p[1]).cross(p[3].sub(p[0]))
	q1, q2 := n1.dot(n1), n2.dot(n2)
	if length == 0 || q1 == 0 || q2 == 0 {
		return fold{}, false
	}
	f := fold{length: length, height: (math.Sqrt(q1) + math.Sqrt(q2)) / length}
	unit := e.scale(1 / length)
	f.angle = math.Atan2(n2.cross(n1).dot(unit), n1.dot(n2))
	g1, g2 := n1.scale(length/q1), n2.scale(length/q2)
	w := func(end, far vec) float64 { return far.sub(end).dot(unit) / length }
	f.grad[2], f.grad[3] = g1, g2
	f.grad[0] = g1.scale(w(p[1], p[2])).add(g2.scale(w(p[1], p[3])))
	f.grad[1] = g1.scale(-w(p[0], p[2])).add(g2.scale(-w(p[0], p[3])))
	return f, true
}

// hingeAngle is the angle of a hinge in the given positions.
func (m *Model) hingeAngle(x []float64, e int) float64 {
	f, _ := newFold(x, m.nodes(e))
	return f.angle
}

// hinge adds a hinge's moments. Stress holds the rest angle, the plastic angle
// and the last angle; a moment above the plate's plastic moment flows.
func (m *Model) hinge(s *State, e int, force []float64) {
	h := s.Stress[stressWords*e : stressWords*e+3]
	f, ok := newFold(s.X, m.nodes(e))
	if !ok {
		clear(force)
		return
	}
	p := &m.Props[m.Prop[e]]
	t := p.Thickness
	stiff := 2 * p.Young * t * t * t / (12 * (1 - p.Poisson*p.Poisson)) * f.length / f.height
	bend := f.angle - h[0]
	bend -= 2 * math.Pi * math.Round(bend/(2*math.Pi)) // folded past flat
	moment := stiff * (bend - h[1])
	if p.Yield > 0 {
		limit := p.Yield * t * t / 4 * f.length
		if over := math.Abs(moment) - limit; over > 0 {
			flow := math.Copysign(over/stiff, moment)
			h[1] += flow
			moment = math.Copysign(limit, moment)
			s.Internal[e] += math.Abs(moment * flow)
		}
	}
	elastic := moment * moment / (2 * stiff)
	s.Internal[e] += elastic - h[2]
	h[2] = elastic
	for k := range 3 {
		force[k] = -moment * f.grad[0][k]
		force[3+k] = -moment * f.grad[1][k]
		force[6+k] = -moment * f.grad[2][k] / 2
		force[9+k] = force[6+k]
		force[12+k] = -moment * f.grad[3][k] / 2
		force[15+k] = force[12+k]
	}
}
