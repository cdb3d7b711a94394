// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package solution

import "sort"

// Partition is one rank's share of a model.
type Partition struct {
	Rank, Size int
	Elements   []int32   // elements this rank computes
	Nodes      []int32   // nodes this rank moves: those of its elements
	Owned      []int32   // the nodes it reports, each owned by one rank only
	Send       [][]int32 // a rank: this rank's slots on nodes of that rank
	Receive    [][]int32 // a rank: that rank's slots on nodes of this rank
}

// Decompose gives each rank a run of solids, of shells and of beams; a hinge
// goes with its first shell. Nodes on a border are moved by every rank that
// touches them, from the same forces in the same order, and so alike.
func Decompose(m *Model, rank, size int) Partition {
	owner := owners(m, size)
	touched := make([][]bool, size)
	for i := range touched {
		touched[i] = make([]bool, len(m.NodeIDs))
	}
	for e := range m.Kind {
		for _, n := range m.nodes(e) {
			touched[owner[e]][n] = true
		}
	}
	p := Partition{Rank: rank, Size: size, Send: make([][]int32, size), Receive: make([][]int32, size)}
	for n := range m.NodeIDs {
		if m.From[n] == m.From[n+1] {
			touched[0][n] = true // a node without elements
		}
		if touched[rank][n] {
			p.Nodes = append(p.Nodes, int32(n))
		}
		first := 0
		for !touched[first][n] {
			first++
		}
		if first == rank {
			p.Owned = append(p.Owned, int32(n))
		}
	}
	for e := range m.Kind {
		by := int(owner[e])
		if by == rank {
			p.Elements = append(p.Elements, int32(e))
		}
		for slot := m.Slot[e]; slot < m.Slot[e+1]; slot++ {
			n := m.Nodes[slot]
			for other := 0; other < size && by == rank; other++ {
				if other != rank && touched[other][n] {
					p.Send[other] = append(p.Send[other], slot)
				}
			}
			if by != rank && touched[rank][n] {
				p.Receive[by] = append(p.Receive[by], slot)
			}
		}
	}
	return p
}

func owners(m *Model, size int) []int32 {
	owner := make([]int32, len(m.Kind))
	var seen [4]int
	shellOf := map[int]int32{} // first slot's shell, by user number
	for e, kind := range m.Kind {
		if kind == Hinge {
			owner[e] = shellOf[m.IDs[e]]
			continue
		}
		owner[e] = int32(seen[kind] * size / m.Count[kind])
		seen[kind]++
		if kind == Shell {
			shellOf[m.IDs[e]] = owner[e]
		}
	}
	return owner
}

// Smallest lists the elements with the smallest time steps in positions x, for
// the listing.
func (m *Model) Smallest(x []float64, count int) []Slow {
	var all []Slow
	for e, kind := range m.Kind {
		if kind == Hinge {
			continue
		}
		if step := m.courant(x, e); step > 0 {
			all = append(all, Slow{kind, m.IDs[e], m.PartIDs[m.Prop[e]], step * m.Safe})
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Step < all[j].Step })
	return all[:min(count, len(all))]
}

// Slow is an element and its time step.
type Slow struct {
	Kind     uint8
	ID, Part int
	Step     float64
}

// courant is an element's critical time step in positions x, at rest.
func (m *Model) courant(x []float64, e int) float64 {
	p := &m.Props[m.Prop[e]]
	switch m.Kind[e] {
	case Solid:
		c := m.corners(x, e)
		_, v := gradient(&c)
		if v <= 0 {
			return -1
		}
		return shortest(&c, v) / p.Sound
	case Shell:
		n := m.nodes(e)
		longest := max(at(x, n[2]).sub(at(x, n[0])).norm(), at(x, n[3]).sub(at(x, n[1])).norm())
		return m.area(x, e) / longest / p.Sound
	default:
		return m.length(x, e) / p.Sound
	}
}
