// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package deck

import (
	"math"
	"path/filepath"
	"strings"
)

// handlers read the cards of each modelled keyword. A handler is called once
// for each card; reader.card and reader.entry say which one it is.
var handlers map[string]func(*reader, string)

func init() {
	handlers = map[string]func(*reader, string){
		"TITLE":                      title,
		"NODE":                       nodes,
		"ELEMENT_SOLID":              solids,
		"ELEMENT_SHELL":              shells,
		"ELEMENT_BEAM":               beams,
		"ELEMENT_MASS":               masses,
		"PART":                       parts,
		"SECTION_SOLID":              sectionSolid,
		"SECTION_SHELL":              sectionShell,
		"SECTION_BEAM":               sectionBeam,
		"MAT_ELASTIC":                elastic,
		"MAT_PLASTIC_KINEMATIC":      plastic,
		"MAT_001":                    elastic,
		"MAT_003":                    plastic,
		"SET_NODE":                   nodeSet,
		"SET_NODE_LIST":              nodeSet,
		"INITIAL_VELOCITY":           velocityAll,
		"INITIAL_VELOCITY_NODE":      velocityNode,
		"BOUNDARY_SPC_NODE":          spcNode,
		"BOUNDARY_SPC_SET":           spcSet,
		"RIGIDWALL_PLANAR":           wall,
		"INCLUDE":                    include,
		"INCLUDE_PATH":               includePath,
		"INCLUDE_PATH_RELATIVE":      includePath,
		"PARAMETER":                  parameter,
		"PARAMETER_LOCAL":            parameter,
		"PARAMETER_EXPRESSION":       parameterExpression,
		"PARAMETER_EXPRESSION_LOCAL": parameterExpression,
		"CONTROL_TERMINATION":        termination,
		"CONTROL_TIMESTEP":           timestep,
		"DATABASE_BINARY_D3PLOT":     plotEvery,
		"DATABASE_BINARY_D3DUMP":     dumpEvery,
		"DATABASE_BINARY_RUNRSF":     runrsfEvery,
		"DATABASE_GLSTAT":            glstatEvery,
		"CASE":                       cases,
	}
}

// families are the beginnings of keywords that LS-DYNA has and the stand-in
// solver does not model.
var families = []string{
	"AIRBAG", "ALE_", "BOUNDARY_", "CASE", "COMPONENT_", "CONSTRAINED_", "CONTACT", "CONTROL_",
	"DAMPING_", "DATABASE_", "DEFINE_", "DEFORMABLE_", "ELEMENT_", "EOS_", "HOURGLASS", "INCLUDE_",
	"INITIAL_", "INTEGRATION_", "INTERFACE_", "LOAD_", "MAT_", "NODE_", "PARAMETER_", "PART_",
	"PERTURBATION_", "RIGIDWALL_", "SECTION_", "SENSOR_", "SET_", "TERMINATION_", "USER_", "COMMENT",
}

func known(word string) bool {
	for _, f := range families {
		if strings.HasPrefix(word, f) {
			return true
		}
	}
	return false
}

func title(r *reader, line string) {
	if r.card == 1 {
		r.deck.Title = strings.TrimSpace(line)
	}
}

func nodes(r *reader, line string) {
	f := r.fields(line, node)
	r.deck.Nodes = append(r.deck.Nodes, Node{f.int(0), f.float(1), f.float(2), f.float(3), f.int(4)})
}

// solids reads both forms: ten fields in one card, or the element and its part
// in one and the nodes in the next.
func solids(r *reader, line string) {
	f := r.fields(line, eight)
	e := &r.scratch.element
	if r.entry == 1 {
		*e = Element{ID: f.int(0), Part: f.int(1)}
		if len(f.f) <= 2 {
			return
		}
		e.Nodes = ids(f, 2, 8)
	} else {
		e.Nodes = ids(f, 0, 8)
	}
	r.deck.Solids = append(r.deck.Solids, *e)
	r.next()
}

func shells(r *reader, line string) {
	f := r.fields(line, eight)
	e := Element{f.int(0), f.int(1), ids(f, 2, 4)}
	if e.Nodes[3] == 0 { // a triangle
		e.Nodes[3] = e.Nodes[2]
	}
	r.deck.Shells = append(r.deck.Shells, e)
}

func beams(r *reader, line string) {
	f := r.fields(line, eight)
	r.deck.Beams = append(r.deck.Beams, Element{f.int(0), f.int(1), ids(f, 2, 2)})
}

func masses(r *reader, line string) {
	f := r.fields(line, mass)
	r.deck.Masses = append(r.deck.Masses, NodalMass{f.int(1), f.float(2)})
}

func ids(f fields, first, n int) []int {
	v := make([]int, n)
	for i := range v {
		v[i] = f.int(first + i)
	}
	return v
}

func parts(r *reader, line string) {
	if r.entry == 1 {
		r.scratch.part.Title = strings.TrimSpace(line)
		return
	}
	f := r.fields(line, tens)
	id := f.int(0)
	r.deck.Parts[id] = Part{id, f.int(1), f.int(2), r.scratch.part.Title}
	r.next()
}

func sectionSolid(r *reader, line string) {
	r.deck.Sections[r.fields(line, tens).int(0)] = Section{Kind: "solid"}
}

func sectionShell(r *reader, line string) {
	f := r.fields(line, tens)
	if r.entry == 1 {
		r.scratch.section = f.int(0)
		return
	}
	r.deck.Sections[r.scratch.section] = Section{Kind: "shell", Thickness: f.float(0)}
	r.next()
}

func sectionBeam(r *reader, line string) {
	f := r.fields(line, tens)
	if r.entry == 1 {
		r.scratch.section, r.scratch.set = f.int(0), f.int(1)
		return
	}
	area := f.float(0)
	if r.scratch.set != 3 { // ELFORM 3 is the truss; the others give thicknesses
		area *= f.float(2)
	}
	r.deck.Sections[r.scratch.section] = Section{Kind: "beam", Area: area}
	r.next()
}

func elastic(r *reader, line string) {
	f := r.fields(line, tens)
	r.deck.Materials[f.int(0)] = Material{Density: f.float(1), Young: f.float(2), Poisson: f.float(3)}
}

func plastic(r *reader, line string) {
	f := r.fields(line, tens)
	if r.entry == 1 {
		r.deck.Materials[f.int(0)] = Material{f.float(1), f.float(2), f.float(3), f.float(4), f.float(5)}
		return
	}
	r.next() // strain rate card, not modelled
}

func nodeSet(r *reader, line string) {
	f := r.fields(line, tens)
	if r.scratch.next == "" {
		r.scratch.set, r.scratch.next = f.int(0), "nodes"
		return
	}
	for i := range f.f {
		if id := f.int(i); id != 0 {
			r.deck.NodeSets[r.scratch.set] = append(r.deck.NodeSets[r.scratch.set], id)
		}
	}
}

func velocityAll(r *reader, line string) {
	f := r.fields(line, tens)
	if r.entry == 1 {
		r.scratch.set = f.int(0)
		return
	}
	r.deck.Moving = append(r.deck.Moving, Velocity{Set: r.scratch.set, V: [3]float64{f.float(0), f.float(1), f.float(2)}})
	r.next()
}

func velocityNode(r *reader, line string) {
	f := r.fields(line, tens)
	r.deck.Moving = append(r.deck.Moving, Velocity{Node: f.int(0), V: [3]float64{f.float(1), f.float(2), f.float(3)}})
}

func spcNode(r *reader, line string) { spc(r, line, false) }
func spcSet(r *reader, line string)  { spc(r, line, true) }

func spc(r *reader, line string, set bool) {
	f := r.fields(line, tens)
	r.deck.Fixed = append(r.deck.Fixed, Constraint{f.int(0), set, f.int(2) == 1, f.int(3) == 1, f.int(4) == 1})
}

func wall(r *reader, line string) {
	f := r.fields(line, tens)
	if r.entry == 1 { // the sets of the first card: every node is a slave
		return
	}
	w := Wall{Point: [3]float64{f.float(0), f.float(1), f.float(2)}, Friction: f.float(6)}
	var size float64
	for i := range w.Normal {
		w.Normal[i] = f.float(3+i) - w.Point[i]
		size += w.Normal[i] * w.Normal[i]
	}
	if size = math.Sqrt(size); size == 0 {
		r.fail(305, "in *RIGIDWALL_PLANAR:\nhead and tail of the normal vector coincide")
		return
	}
	for i := range w.Normal {
		w.Normal[i] /= size
	}
	r.deck.Walls = append(r.deck.Walls, w)
	r.next()
}

func include(r *reader, line string) {
	name := r.scratch.partial + strings.TrimSpace(line)
	r.scratch.partial = ""
	if head, ok := strings.CutSuffix(name, " +"); ok {
		r.scratch.partial = head
		return
	}
	if name != "" {
		r.include(name)
	}
}

func includePath(r *reader, line string) {
	dir := strings.TrimSpace(line)
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(r.root, dir)
	}
	r.paths = append(r.paths, dir)
}

func parameter(r *reader, line string) {
	f := r.split(line, tens)
	for i := 0; i+1 < len(f); i += 2 {
		name := strings.ToLower(f[i])
		if name == "" {
			continue
		}
		if name[0] == 'c' { // a text parameter: nothing the solution uses
			continue
		}
		if name[0] != 'r' && name[0] != 'i' {
			r.fail(300, "in *PARAMETER:\nparameter %s must begin with R or I", f[i])
			continue
		}
		v, ok := r.value(f[i+1])
		if !ok {
			r.fail(301, "in *PARAMETER:\nvalue %s of parameter %s is not a number", f[i+1], f[i])
		}
		if name[0] == 'i' {
			v = math.Trunc(v)
		}
		r.params[strings.TrimSpace(name[1:])] = v
	}
}

func parameterExpression(r *reader, line string) {
	name, text, comma := strings.Cut(line, ",")
	if !comma {
		if len(line) <= 10 {
			r.fail(302, "in *PARAMETER_EXPRESSION:\nno expression in: %s", line)
			return
		}
		name, text = line[:10], line[10:]
	}
	name = strings.ToLower(strings.TrimSpace(name))
	if len(name) < 2 || name[0] != 'r' && name[0] != 'i' {
		r.fail(300, "in *PARAMETER_EXPRESSION:\nparameter %s must begin with R or I", name)
		return
	}
	v, err := evaluate(text, r.params)
	if err != nil {
		r.fail(303, "in *PARAMETER_EXPRESSION:\n%v", err)
		return
	}
	if name[0] == 'i' {
		v = math.Trunc(v)
	}
	r.params[strings.TrimSpace(name[1:])] = v
}

func termination(r *reader, line string) {
	f := r.fields(line, tens)
	r.deck.EndTime, r.deck.EndCycle, r.deck.TimeStepMin = f.float(0), f.int(1), f.float(2)
	r.deck.Set[r.keyword] = true
}

// cases reads the first card; the others change the deck for a case, which is not modelled.
func cases(r *reader, line string) {
	if r.card > 1 {
		return
	}
	f := r.fields(line, tens)
	r.deck.Cases = append(r.deck.Cases, Case{f.int(0), f.text(1)})
}

func timestep(r *reader, line string) {
	if r.card > 1 {
		return
	}
	if v := r.fields(line, tens).float(1); v > 0 && v <= 1 {
		r.deck.TimeStepSafe = v
	}
}

func plotEvery(r *reader, line string) {
	if r.card == 1 {
		r.deck.PlotEvery = r.fields(line, tens).float(0)
		r.deck.Set[r.keyword] = true
	}
}

func dumpEvery(r *reader, line string) {
	r.deck.DumpEvery = r.fields(line, tens).int(0)
	r.deck.Set[r.keyword] = true
}

func runrsfEvery(r *reader, line string) {
	r.deck.RunrsfEvery = r.fields(line, tens).int(0)
	r.deck.Set[r.keyword] = true
}

func glstatEvery(r *reader, line string) {
	r.deck.GlstatEvery = r.fields(line, tens).float(0)
	r.deck.Set[r.keyword] = true
}
