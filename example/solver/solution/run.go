// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package solution

import (
	"math"
	"runtime"
	"sync"
)

// Run is a model being solved by a team of threads on one rank.
type Run struct {
	Model *Model
	State *State
	Part  Partition

	force []float64 // three a slot
	team  *Team
	low   []lowest // a thread
}

// lowest is a thread's smallest time step, on a cache line of its own.
type lowest struct {
	step float64
	bad  int // element with a volume that is not positive, or -1
	_    [48]byte
}

// Exchange trades halo forces with the other ranks: it gets this rank's
// smallest time step and first bad element (or -1), fills in the force slots of
// the others, and returns the values over all ranks.
type Exchange func(step float64, bad int, force []float64) (float64, int, error)

// NewRun starts a run on team.
func NewRun(m *Model, s *State, part Partition, team *Team) *Run {
	return &Run{
		Model: m, State: s, Part: part, team: team,
		force: make([]float64, 3*len(m.Nodes)), low: make([]lowest, team.Size()),
	}
}

// NegativeVolume says which element ended the run.
type NegativeVolume struct{ Element int }

func (e NegativeVolume) Error() string { return "negative volume in brick element" }

// Forces brings stresses and forces up to the state's positions, and finds the
// next time step. It is the first half of a cycle.
func (r *Run) Forces(ex Exchange) error {
	s := r.State
	r.team.Do(func(worker int) { r.elements(worker) })
	step, bad := math.Inf(1), -1
	for _, l := range r.low {
		step = min(step, l.step)
		if l.bad >= 0 && (bad < 0 || l.bad < bad) {
			bad = l.bad
		}
	}
	if ex != nil {
		var err error
		if step, bad, err = ex(step, bad, r.force); err != nil {
			return err
		}
	}
	if bad >= 0 {
		return NegativeVolume{r.Model.IDs[bad]}
	}
	s.OldStep, s.Step = s.Step, step*r.Model.Safe
	if s.FirstStep == 0 {
		s.FirstStep = s.Step
		s.OldStep = s.Step
	}
	return nil
}

// Move takes the time step that Forces found. It is the second half of a cycle.
func (r *Run) Move() {
	r.team.Do(func(worker int) { r.nodes(worker) })
	r.State.Time += r.State.Step
	r.State.Cycle++
}

// chunk is the number of elements or nodes that a thread takes at a time.
const chunk = 64

func (r *Run) elements(worker int) {
	low := lowest{step: math.Inf(1), bad: -1}
	list := r.Part.Elements
	for from := worker * chunk; from < len(list); from += chunk * r.team.Size() {
		for _, e := range list[from:min(from+chunk, len(list))] {
			step := r.element(int(e))
			if step < 0 {
				if low.bad < 0 {
					low.bad = int(e)
				}
				continue
			}
			low.step = min(low.step, step)
		}
	}
	r.low[worker] = low
}

func (r *Run) element(e int) float64 {
	m, s := r.Model, r.State
	force := r.force[3*m.Slot[e] : 3*m.Slot[e+1]]
	switch m.Kind[e] {
	case Solid:
		return m.solid(s, e, s.Step, force)
	case Shell:
		return m.shell(s, e, s.Step, force)
	case Beam:
		return m.beam(s, e, s.Step, force)
	default:
		m.hinge(s, e, force)
		return math.Inf(1)
	}
}

func (r *Run) nodes(worker int) {
	list := r.Part.Nodes
	for from := worker * chunk; from < len(list); from += chunk * r.team.Size() {
		for _, n := range list[from:min(from+chunk, len(list))] {
			r.node(int(n))
		}
	}
}

// node adds a node's forces in the order of the elements, and moves it.
func (r *Run) node(n int) {
	m, s := r.Model, r.State
	mass := m.Mass[n]
	if mass == 0 {
		return
	}
	var f vec
	for _, slot := range m.Slots[m.From[n]:m.From[n+1]] {
		f[0] += r.force[3*slot]
		f[1] += r.force[3*slot+1]
		f[2] += r.force[3*slot+2]
	}
	half := (s.Step + s.OldStep) / 2
	v := at(s.V, int32(n))
	before := v
	for k := range 3 {
		a := f[k] / mass
		if m.Fixed[n]&(1<<k) != 0 {
			a = 0
		}
		s.A[3*n+k] = a
		v[k] += a * half
	}
	x := at(s.X, int32(n))
	for i := range m.Walls {
		free := v
		v = m.wall(i, x, v, s.Step)
		// The wall's push times the mean velocity over the step.
		s.Stopped[n] += mass * free.sub(v).dot(before.add(v)) / 2
	}
	for k := range 3 {
		s.V[3*n+k] = v[k]
		s.X[3*n+k] = x[k] + v[k]*s.Step
	}
}

// wall keeps a node that would pass a wall on the wall, sticking by friction.
func (m *Model) wall(i int, x, v vec, dt float64) vec {
	w := &m.Walls[i]
	normal := vec(w.Normal)
	gap := x.sub(vec(w.Point)).dot(normal)
	into := v.dot(normal)
	if gap+into*dt >= 0 || into >= 0 {
		return v
	}
	rest := -max(gap, 0) / dt // just reach the wall
	along := v.sub(normal.scale(into))
	slip := along.norm()
	if slip > 0 && w.Friction > 0 {
		along = along.scale(max(0, 1-w.Friction*(rest-into)/slip))
	}
	return along.add(normal.scale(rest))
}

// Energies of the whole model, in the deck's units.
type Energies struct {
	Kinetic, Internal, Hourglass, Stonewall float64
	Velocity                                [3]float64 // mass weighted mean
	Mass                                    float64
}

// Total is the energy that must not change.
func (e Energies) Total() float64 { return e.Kinetic + e.Internal + e.Hourglass + e.Stonewall }

// Energies adds up in the order of nodes and elements. On more than one rank
// the state must have been collected first.
func (r *Run) Energies() Energies {
	var e Energies
	s := r.State
	for n, mass := range r.Model.Mass {
		v := at(s.V, int32(n))
		e.Kinetic += mass * v.dot(v) / 2
		e.Mass += mass
		e.Stonewall += s.Stopped[n]
		for k := range v {
			e.Velocity[k] += mass * v[k]
		}
	}
	for i := range s.Internal {
		e.Internal += s.Internal[i]
		e.Hourglass += s.Hourglass[i]
	}
	if e.Mass > 0 {
		for k := range e.Velocity {
			e.Velocity[k] /= e.Mass
		}
	}
	return e
}

// Team is a fixed set of operating system threads that work in step.
type Team struct {
	size int
	work []chan func(int)
	done sync.WaitGroup
}

// NewTeam starts size threads and calls started on each of them first.
func NewTeam(size int, started func(worker int)) *Team {
	t := &Team{size: size, work: make([]chan func(int), size)}
	t.done.Add(size)
	for i := range t.work {
		t.work[i] = make(chan func(int), 1)
		go func() {
			runtime.LockOSThread()
			if started != nil {
				started(i)
			}
			t.done.Done()
			for f := range t.work[i] {
				f(i)
				t.done.Done()
			}
		}()
	}
	t.done.Wait()
	return t
}

// Size is the number of threads.
func (t *Team) Size() int { return t.size }

// Do runs f once on every thread and waits for all.
func (t *Team) Do(f func(worker int)) {
	t.done.Add(t.size)
	for _, c := range t.work {
		c <- f
	}
	t.done.Wait()
}

// Close ends the threads.
func (t *Team) Close() {
	for _, c := range t.work {
		close(c)
	}
}
