// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package solution

import "math"

// Bulk viscosity as in LS-DYNA's defaults: Q1 (quadratic) and Q2 (linear).
const (
	bulkQuadratic = 1.5
	bulkLinear    = 0.06
)

// corner holds the signs of the eight corners in the element's own
// coordinates, and modes the four hourglass patterns over them.
var (
	corner = [8][3]float64{
		{-1, -1, -1},
		{1, -1, -1},
		{1, 1, -1},
		{-1, 1, -1},
		{-1, -1, 1},
		{1, -1, 1},
		{1, 1, 1},
		{-1, 1, 1},
	}
	modes = [4][8]float64{
		{1, 1, -1, -1, -1, -1, 1, 1},
		{1, -1, -1, 1, -1, 1, 1, -1},
		{1, -1, 1, -1, 1, -1, 1, -1},
		{-1, 1, -1, 1, 1, -1, 1, -1},
	}
)

// gradient is the shape functions' gradient at the middle of a solid and its
// volume there (8 times the Jacobian's determinant).
func gradient(p *[8]vec) (b [8]vec, volume float64) {
	var j [3]vec // j[i][k] = dx_k/dxi_i
	for n := range p {
		for i := range 3 {
			c := corner[n][i] / 8
			j[i][0] += c * p[n][0]
			j[i][1] += c * p[n][1]
			j[i][2] += c * p[n][2]
		}
	}
	r := [3]vec{j[1].cross(j[2]), j[2].cross(j[0]), j[0].cross(j[1])}
	det := j[0].dot(r[0])
	if det <= 0 {
		return b, 8 * det
	}
	for n := range b {
		for i := range 3 {
			c := corner[n][i] / (8 * det)
			b[n][0] += c * r[i][0]
			b[n][1] += c * r[i][1]
			b[n][2] += c * r[i][2]
		}
	}
	return b, 8 * det
}

func (m *Model) corners(x []float64, e int) (p [8]vec) {
	for i, n := range m.nodes(e) {
		p[i] = at(x, n)
	}
	return p
}

func (m *Model) volume(x []float64, e int) float64 {
	p := m.corners(x, e)
	_, v := gradient(&p)
	return v
}

// solid is the constant stress solid with Jaumann rate, radial return, bulk
// viscosity and viscous hourglass control. It returns the critical time step,
// below 0 for a volume that is not positive.
func (m *Model) solid(s *State, e int, dt float64, force []float64) float64 {
	p, v := m.corners(s.X, e), m.corners(s.V, e)
	b, volume := gradient(&p)
	if !(volume > 0) { // also when it is not a number
		clear(force)
		return -1
	}
	var l [3]vec // velocity gradient, l[i][k] = dv_i/dx_k
	for n := range v {
		for i := range 3 {
			l[i][0] += v[n][i] * b[n][0]
			l[i][1] += v[n][i] * b[n][1]
			l[i][2] += v[n][i] * b[n][2]
		}
	}
	d := [6]float64{
		l[0][0] * dt, l[1][1] * dt, l[2][2] * dt,
		(l[0][1] + l[1][0]) / 2 * dt, (l[1][2] + l[2][1]) / 2 * dt, (l[2][0] + l[0][2]) / 2 * dt,
	}
	spin := [3]float64{(l[0][1] - l[1][0]) / 2 * dt, (l[1][2] - l[2][1]) / 2 * dt, (l[2][0] - l[0][2]) / 2 * dt}

	pr := &m.Props[m.Prop[e]]
	st := (*[6]float64)(s.Stress[stressWords*e:])
	old := *st
	rotate(st, spin)
	pr.update(st, &s.Strain[e], &d)
	size := math.Cbrt(volume)
	q, speed := pr.viscosity((d[0]+d[1]+d[2])/max(dt, 1e-300), size, dt)
	s.Internal[e] += volume * work(&old, st, &d, q)

	for n := range b {
		g := b[n]
		force[3*n] = -volume * (g[0]*(st[0]-q) + g[1]*st[3] + g[2]*st[5])
		force[3*n+1] = -volume * (g[0]*st[3] + g[1]*(st[1]-q) + g[2]*st[4])
		force[3*n+2] = -volume * (g[0]*st[5] + g[1]*st[4] + g[2]*(st[2]-q))
	}
	s.Hourglass[e] += hourglass(&p, &v, &b, hourglassFactor*pr.Density*size*size*pr.Sound/4, force) * dt
	return shortest(&p, volume) / speed
}

// rotate turns the stress with the material: the spin part of Jaumann's rate.
func rotate(s *[6]float64, w [3]float64) {
	xx, yy, zz, xy, yz, zx := s[0], s[1], s[2], s[3], s[4], s[5]
	w12, w23, w31 := w[0], w[1], w[2]
	s[0] += 2 * (w12*xy - w31*zx)
	s[1] += 2 * (w23*yz - w12*xy)
	s[2] += 2 * (w31*zx - w23*yz)
	s[3] += w12*(yy-xx) + w23*zx - w31*yz
	s[4] += w23*(zz-yy) + w31*xy - w12*zx
	s[5] += w31*(xx-zz) + w12*yz - w23*xy
}

// update adds an increment of strain and returns to the yield surface.
func (p *Prop) update(s *[6]float64, strain *float64, d *[6]float64) {
	trace := p.Lambda * (d[0] + d[1] + d[2])
	for i := range 3 {
		s[i] += trace + 2*p.Shear*d[i]
		s[3+i] += 2 * p.Shear * d[3+i]
	}
	if p.Yield <= 0 {
		return
	}
	mean := (s[0] + s[1] + s[2]) / 3
	a, b, c := s[0]-mean, s[1]-mean, s[2]-mean
	mises := math.Sqrt(1.5 * (a*a + b*b + c*c + 2*(s[3]*s[3]+s[4]*s[4]+s[5]*s[5])))
	yield := p.Yield + p.Hardening**strain
	if mises <= yield {
		return
	}
	flow := (mises - yield) / (3*p.Shear + p.Hardening)
	*strain += flow
	back := (yield + p.Hardening*flow) / mises
	s[0], s[1], s[2] = mean+a*back, mean+b*back, mean+c*back
	s[3], s[4], s[5] = s[3]*back, s[4]*back, s[5]*back
}

// viscosity is the bulk viscosity's pressure and the wave speed with it.
func (p *Prop) viscosity(rate, size, dt float64) (q, speed float64) {
	if rate >= 0 || dt == 0 {
		return 0, p.Sound
	}
	q = p.Density * size * -rate * (bulkQuadratic*size*-rate + bulkLinear*p.Sound)
	damp := bulkLinear*p.Sound + bulkQuadratic*size*-rate
	return q, damp + math.Sqrt(damp*damp+p.Sound*p.Sound)
}

func work(old, s, d *[6]float64, q float64) float64 {
	var w float64
	for i := range 3 {
		w += ((old[i]+s[i])/2-q)*d[i] + (old[3+i]+s[3+i])*d[3+i]
	}
	return w
}

// hourglass adds viscous forces against the four patterns that the one-point
// integration does not see, and returns the power they take.
func hourglass(p, v, b *[8]vec, c float64, force []float64) (power float64) {
	for a := range modes {
		var turn vec // the pattern's overlap with the element's shape
		for n, h := range modes[a] {
			turn[0] += h * p[n][0]
			turn[1] += h * p[n][1]
			turn[2] += h * p[n][2]
		}
		var g [8]float64
		var q vec
		for n, h := range modes[a] {
			g[n] = h - turn.dot(b[n])
			q[0] += g[n] * v[n][0]
			q[1] += g[n] * v[n][1]
			q[2] += g[n] * v[n][2]
		}
		for n := range g {
			force[3*n] -= c * q[0] * g[n]
			force[3*n+1] -= c * q[1] * g[n]
			force[3*n+2] -= c * q[2] * g[n]
		}
		power += c * q.dot(q)
	}
	return power
}

// faces lists the corners of the six faces.
var faces = [6][4]int{{0, 1, 2, 3}, {4, 5, 6, 7}, {0, 1, 5, 4}, {1, 2, 6, 5}, {2, 3, 7, 6}, {3, 0, 4, 7}}

// shortest is the element's characteristic length: volume by largest face.
func shortest(p *[8]vec, volume float64) float64 {
	var largest float64
	for _, f := range faces {
		n := p[f[2]].sub(p[f[0]]).cross(p[f[3]].sub(p[f[1]]))
		largest = max(largest, n.dot(n))
	}
	return volume / (math.Sqrt(largest) / 2)
}
