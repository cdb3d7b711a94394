// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package solution

import "math"

// hourglassFactor is LS-DYNA's default QH.
const hourglassFactor = 0.1

func (m *Model) area(x []float64, e int) float64 {
	n := m.nodes(e)
	return at(x, n[2]).sub(at(x, n[0])).cross(at(x, n[3]).sub(at(x, n[1]))).norm() / 2
}

func (m *Model) length(x []float64, e int) float64 {
	n := m.nodes(e)
	return at(x, n[1]).sub(at(x, n[0])).norm()
}

// shell is the one-point membrane: rate of stretching in the frame that turns
// with the element, plane stress, and viscous hourglass control in all three
// directions. It returns the element's critical time step.
func (m *Model) shell(s *State, e int, dt float64, force []float64) float64 {
	n := m.nodes(e)
	var p, v [4]vec
	for i := range p {
		p[i], v[i] = at(s.X, n[i]), at(s.V, n[i])
	}
	d1, d2 := p[2].sub(p[0]), p[3].sub(p[1])
	e3 := d1.cross(d2)
	twice := e3.norm()
	if twice == 0 {
		clear(force)
		return math.Inf(1)
	}
	e3 = e3.scale(1 / twice)
	e1 := p[1].add(p[2]).sub(p[0]).sub(p[3])
	e1 = e1.sub(e3.scale(e1.dot(e3)))
	e1 = e1.scale(1 / e1.norm())
	e2 := e3.cross(e1)
	area := twice / 2

	var x, y, u, w, z [4]float64 // local positions and velocities
	for i := range p {
		x[i], y[i] = p[i].dot(e1), p[i].dot(e2)
		u[i], w[i], z[i] = v[i].dot(e1), v[i].dot(e2), v[i].dot(e3)
	}
	bx := [4]float64{(y[1] - y[3]) / 2, (y[2] - y[0]) / 2, (y[3] - y[1]) / 2, (y[0] - y[2]) / 2}
	by := [4]float64{(x[3] - x[1]) / 2, (x[0] - x[2]) / 2, (x[1] - x[3]) / 2, (x[2] - x[0]) / 2}
	var dxx, dyy, dxy float64
	for i := range bx {
		dxx += bx[i] * u[i]
		dyy += by[i] * w[i]
		dxy += bx[i]*w[i] + by[i]*u[i]
	}
	dxx, dyy, dxy = dxx*dt/area, dyy*dt/area, dxy*dt/area

	pr := &m.Props[m.Prop[e]]
	st := s.Stress[stressWords*e : stressWords*e+3]
	old := [3]float64{st[0], st[1], st[2]}
	pr.planeStress(st, &s.Strain[e], dxx, dyy, dxy)
	t := pr.Thickness
	s.Internal[e] += t * area / 2 * ((old[0]+st[0])*dxx + (old[1]+st[1])*dyy + (old[2]+st[2])*dxy)

	sign := [4]float64{1, -1, 1, -1}
	var hx, hy float64
	for i := range sign {
		hx += sign[i] * x[i] / area
		hy += sign[i] * y[i] / area
	}
	var g [4]float64
	var qu, qw, qz float64
	for i := range g {
		g[i] = sign[i] - hx*bx[i] - hy*by[i]
		qu += g[i] * u[i]
		qw += g[i] * w[i]
		qz += g[i] * z[i]
	}
	c := hourglassFactor * pr.Density * t * pr.Sound * math.Sqrt(area) / 4
	s.Hourglass[e] += c * (qu*qu + qw*qw + qz*qz) * dt
	for i := range g {
		fx := -t*(bx[i]*st[0]+by[i]*st[2]) - c*qu*g[i]
		fy := -t*(by[i]*st[1]+bx[i]*st[2]) - c*qw*g[i]
		fz := -c * qz * g[i]
		for k := range 3 {
			force[3*i+k] = fx*e1[k] + fy*e2[k] + fz*e3[k]
		}
	}
	longest := max(d1.dot(d1), d2.dot(d2))
	for i := range p {
		side := p[(i+1)%4].sub(p[i])
		longest = max(longest, side.dot(side))
	}
	return area / math.Sqrt(longest) / pr.Sound
}

// planeStress updates xx, yy and xy for an increment of strain (dxy is twice
// the shear) and scales back to the yield surface.
func (p *Prop) planeStress(st []float64, strain *float64, dxx, dyy, dxy float64) {
	f := p.Young / (1 - p.Poisson*p.Poisson)
	st[0] += f * (dxx + p.Poisson*dyy)
	st[1] += f * (dyy + p.Poisson*dxx)
	st[2] += p.Shear * dxy
	if p.Yield <= 0 {
		return
	}
	mises := math.Sqrt(st[0]*st[0] + st[1]*st[1] - st[0]*st[1] + 3*st[2]*st[2])
	yield := p.Yield + p.Hardening**strain
	if mises <= yield {
		return
	}
	flow := (mises - yield) / (p.Young + p.Hardening)
	*strain += flow
	back := (yield + p.Hardening*flow) / mises
	st[0], st[1], st[2] = st[0]*back, st[1]*back, st[2]*back
}

// beam is a truss: axial force only.
func (m *Model) beam(s *State, e int, dt float64, force []float64) float64 {
	n := m.nodes(e)
	d := at(s.X, n[1]).sub(at(s.X, n[0]))
	length := d.norm()
	if length == 0 {
		clear(force)
		return math.Inf(1)
	}
	d = d.scale(1 / length)
	stretch := at(s.V, n[1]).sub(at(s.V, n[0])).dot(d) * dt / length
	p := &m.Props[m.Prop[e]]
	st := &s.Stress[stressWords*e]
	old := *st
	*st += p.Young * stretch
	if yield := p.Yield + p.Hardening*s.Strain[e]; p.Yield > 0 && math.Abs(*st) > yield {
		flow := (math.Abs(*st) - yield) / (p.Young + p.Hardening)
		s.Strain[e] += flow
		*st = math.Copysign(yield+p.Hardening*flow, *st)
	}
	s.Internal[e] += p.Area * length * (old + *st) / 2 * stretch
	f := d.scale(*st * p.Area)
	for k := range 3 {
		force[k], force[3+k] = f[k], -f[k]
	}
	return length / p.Sound
}
