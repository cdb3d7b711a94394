// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package solution

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/example/solver/deck"
)

// cube is one solid of side 2 with unit density and a given velocity.
const cube = `*NODE
1,0,0,0
2,2,0,0
3,2,2,0
4,0,2,0
5,0,0,2
6,2,0,2
7,2,2,2
8,0,2,2
*ELEMENT_SOLID
1,1,1,2,3,4,5,6,7,8
*PART
cube
1,1,1
*SECTION_SOLID
1,1
*MAT_ELASTIC
1,1.0,100.0,0.3
`

// steady keeps the steps below the limit of an element that is all alone: it
// swells in three directions at once, faster than the waves that LS-DYNA's time
// step is made for.
const steady = "*CONTROL_TIMESTEP\n0,0.4\n"

func build(t *testing.T, text string) (*Model, *State) {
	t.Helper()
	d := deck.Parse([]byte(text), t.TempDir(), deck.Options{})
	m, s, errs := Build(d)
	for _, e := range append(errs, d.Log...) {
		t.Errorf("%d: %s", e.Code, e.Text)
	}
	return m, s
}

func alone(t *testing.T, m *Model, s *State) *Run {
	t.Helper()
	team := NewTeam(1, nil)
	t.Cleanup(team.Close)
	return NewRun(m, s, Decompose(m, 0, 1), team)
}

func advance(t *testing.T, r *Run, cycles int) {
	t.Helper()
	for range cycles {
		if err := r.Forces(nil); err != nil {
			t.Fatal(err)
		}
		r.Move()
	}
}

func TestMassAndCourantStepOfACube(t *testing.T) {
	m, s := build(t, cube)
	for n, mass := range m.Mass {
		if math.Abs(mass-1) > 1e-12 {
			t.Errorf("node %d has mass %g, not an eighth of 8", n, mass)
		}
	}
	r := alone(t, m, s)
	if err := r.Forces(nil); err != nil {
		t.Fatal(err)
	}
	// c² = E(1-ν)/((1+ν)(1-2ν)ρ); the characteristic length is 2.
	want := 0.9 * 2 / math.Sqrt(100*0.7/(1.3*0.4))
	if math.Abs(s.Step-want) > 1e-12 {
		t.Errorf("step %g, not %g", s.Step, want)
	}
}

// A body that flies as a whole must feel no stress.
func TestRigidMotionMakesNoForce(t *testing.T) {
	m, s := build(t, cube+steady+"*INITIAL_VELOCITY\n0\n3,-4,5\n")
	r := alone(t, m, s)
	advance(t, r, 200)
	for e := range s.Stress {
		if math.Abs(s.Stress[e]) > 1e-9 {
			t.Fatalf("stress %v", s.Stress)
		}
	}
	if x := s.X[0]; math.Abs(x-3*s.Time) > 1e-9 {
		t.Errorf("moved %g in %g", x, s.Time)
	}
}

func TestUniaxialStrainHasTheRightStress(t *testing.T) {
	m, s := build(t, cube)
	force := make([]float64, 24)
	for _, n := range []int{4, 5, 6, 7} {
		s.V[3*n+2] = 1
	}
	const dt = 1e-6
	if step := m.solid(s, 0, dt, force); step <= 0 {
		t.Fatal(step)
	}
	strain := dt / 2
	want := 100 * 0.7 / (1.3 * 0.4) * strain
	if got := s.Stress[2]; math.Abs(got-want) > want*1e-6 {
		t.Errorf("stress %g, not %g", got, want)
	}
	var sum vec
	for n := range 8 {
		sum = sum.add(vec{force[3*n], force[3*n+1], force[3*n+2]})
	}
	if sum.norm() > 1e-15 {
		t.Errorf("the forces do not balance: %v", sum)
	}
	if force[3*4+2] >= 0 || force[2] <= 0 {
		t.Errorf("forces do not pull the stretched cube together: %v", force)
	}
}

func TestYieldBoundsTheStress(t *testing.T) {
	p := newProp(Solid, deck.Material{Density: 1, Young: 100, Poisson: 0.3, Yield: 1, Tangent: 10}, deck.Section{})
	var st [6]float64
	strain := 0.0
	d := [6]float64{0.01, -0.005, -0.005, 0.002, 0, 0}
	for range 10 {
		p.update(&st, &strain, &d)
	}
	mises := math.Sqrt(((st[0]-st[1])*(st[0]-st[1])+(st[1]-st[2])*(st[1]-st[2])+(st[2]-st[0])*(st[2]-st[0]))/2 + 3*st[3]*st[3])
	if yield := 1 + p.Hardening*strain; strain <= 0 || math.Abs(mises-yield) > 1e-9 {
		t.Errorf("effective stress %g at yield stress %g, plastic strain %g", mises, yield, strain)
	}
}

func TestInvertedElementEndsTheRun(t *testing.T) {
	m, s := build(t, cube)
	s.X[3*6+2] = -20
	err := alone(t, m, s).Forces(nil)
	var bad NegativeVolume
	if !errors.As(err, &bad) || bad.Element != 1 {
		t.Errorf("error %v", err)
	}
}

func TestNodesDoNotPassTheWall(t *testing.T) {
	m, s := build(t, cube+steady+"*INITIAL_VELOCITY\n0\n0,0,-0.2\n*RIGIDWALL_PLANAR\n0\n0,0,-0.1,0,0,0\n")
	r := alone(t, m, s)
	advance(t, r, 100)
	for n := range 8 {
		if s.X[3*n+2] < -0.1-1e-12 {
			t.Errorf("node %d at z = %g", n+1, s.X[3*n+2])
		}
	}
	if v := r.Energies().Velocity[2]; v < 0 {
		t.Errorf("the cube did not bounce: velocity %g", v)
	}
}

func TestBuildComplains(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		code int
	}{
		"missing node":     {strings.Replace(cube, "8,0,2,2\n", "", 1), 144},
		"missing part":     {strings.Replace(cube, "*PART\ncube\n1,1,1", "*PART\ncube\n2,1,1", 1), 145},
		"missing material": {strings.Replace(cube, "1,1.0,100", "9,1.0,100", 1), 146},
		"missing section":  {strings.Replace(cube, "*SECTION_SOLID\n1", "*SECTION_SOLID\n4", 1), 147},
		"no density":       {strings.Replace(cube, "1,1.0,100", "1,0.0,100", 1), 148},
		"node twice":       {cube + "*NODE\n1,0,0,0\n", 119},
		"nothing":          {"*KEYWORD\n", 130},
		"unknown SPC node": {cube + "*BOUNDARY_SPC_NODE\n99,0,1,1,1\n", 144},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, errs := Build(deck.Parse([]byte(c.text), t.TempDir(), deck.Options{}))
			if len(errs) != 1 || errs[0].Code != c.code {
				t.Errorf("%+v", errs)
			}
		})
	}
}

func TestDecompositionSharesOutEverything(t *testing.T) {
	d, err := deck.Read("../../decks/shell_box_crush/small.k", deck.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, _, _ := Build(d)
	for _, size := range []int{1, 2, 5, 400} {
		elements, owned := make([]int, len(m.Kind)), make([]int, len(m.NodeIDs))
		parts := make([]Partition, size)
		for rank := range parts {
			parts[rank] = Decompose(m, rank, size)
			for _, e := range parts[rank].Elements {
				elements[e]++
			}
			for _, n := range parts[rank].Owned {
				owned[n]++
			}
		}
		for _, counts := range [][]int{elements, owned} {
			for i, n := range counts {
				if n != 1 {
					t.Fatalf("%d ranks: %d is shared out %d times", size, i, n)
				}
			}
		}
		for a := range parts {
			for b := range parts {
				if len(parts[a].Send[b]) != len(parts[b].Receive[a]) {
					t.Fatalf("rank %d sends %d, rank %d receives %d", a, len(parts[a].Send[b]), b, len(parts[b].Receive[a]))
				}
			}
		}
	}
}

func FuzzBuild(f *testing.F) {
	f.Add(cube)
	f.Add("*NODE\n1,0,0,0\n2,1,0,0\n3,1,1,0\n*ELEMENT_SHELL\n1,1,1,2,3,3\n*PART\n\n1,1,1\n*SECTION_SHELL\n1,2\n0.1\n*MAT_ELASTIC\n1,1,1,.3\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, s, errs := Build(deck.Parse([]byte(text), t.TempDir(), deck.Options{}))
		if len(errs) > 0 {
			return
		}
		team := NewTeam(1, nil)
		defer team.Close()
		r := NewRun(m, s, Decompose(m, 0, 1), team)
		for i := 0; i < 3 && r.Forces(nil) == nil; i++ {
			r.Move()
		}
	})
}
