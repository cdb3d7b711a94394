// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package deck

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func parse(t *testing.T, text string) *Deck {
	t.Helper()
	d := Parse([]byte(text), t.TempDir(), Options{})
	for _, m := range d.Log {
		if m.Kind == Error {
			t.Errorf("error %d: %s", m.Code, m.Text)
		}
	}
	return d
}

func TestCardForms(t *testing.T) {
	want := Node{7, 1.5, -2000, 0.25, 0}
	for name, text := range map[string]string{
		"fixed columns":         "*NODE\n       7             1.5          -2.0e3            0.25       0       0\n",
		"columns that touch":    "*NODE\n       71.50000000000000-2.0000000000e+30.25000000000000\n",
		"commas":                "*NODE\n7,1.5,-2.0d3,.25\n",
		"long":                  "*NODE+\n                   7                 1.5            -2000.0                0.25\n",
		"long for all":          "*KEYWORD LONG=Y\n*NODE\n                   7                 1.5             -2000.0                0.25\n",
		"DOS line ends":         "*NODE\r\n7, 1.5, -2000, 0.25\r\n",
		"comment in between":    "*NODE\n$ nid x y z\n7, 1.5, -2000, 0.25\n",
		"parameters":            "*PARAMETER\nRhalf            0.5I two              2\n*PARAMETER_EXPRESSION\nRx        3*half\nRy,-(&two**10 - 24) * two\nRz        half/2\n*NODE\n7,&x,&y,&z\n",
		"a minus parameter":     "*PARAMETER\nR y,2000\n*NODE\n7,1.5,-&Y,0.25\n",
		"exponent without E":    "*NODE\n7,1.5,-2.0+3,2.5-1\n",
		"lower case keyword":    "*node\n7,1.5,-2000,.25\n",
		"after *END is nothing": "*NODE\n7,1.5,-2000,.25\n*END\n*NODE\n8,1,1,1\n",
	} {
		t.Run(name, func(t *testing.T) {
			d := parse(t, text)
			if len(d.Nodes) != 1 || d.Nodes[0] != want {
				t.Errorf("%+v", d.Nodes)
			}
		})
	}
}

func TestKeywords(t *testing.T) {
	d := parse(t, `*KEYWORD
*TITLE
A title
*ELEMENT_SOLID
1,1,1,2,3,4,5,6,7,8
       2       1
       1       2       3       4       5       6       7       8
*ELEMENT_SHELL
       3       1      11      12      13       0
*ELEMENT_BEAM
4,3,1,2
*ELEMENT_MASS
       1       9             2.5
*PART
first
1,1,1
second
2,1,1
*SECTION_SHELL_TITLE
named
         7         2
       1.5
*SECTION_BEAM
8,3
2.25
*MAT_PLASTIC_KINEMATIC_TITLE
steel
1,7.8e-6,207,.3,.25,1
0,0
*SET_NODE_LIST_TITLE
names
3
1,2,3
4
*BOUNDARY_SPC_SET
3,0,1,0,1
*INITIAL_VELOCITY
3
0,0,-5
*RIGIDWALL_PLANAR_ID
77,wall
0
0,0,0,0,0,10,.3
*CONTROL_TERMINATION
2.5,100
*CONTROL_TIMESTEP
0,0.67
*DATABASE_BINARY_D3PLOT
.5
*DATABASE_BINARY_D3DUMP
250
$ standin: hang=5 rank=1
*CONTACT_AUTOMATIC_SINGLE_SURFACE
0
`)
	if d.Title != "A title" || len(d.Solids) != 2 || d.Solids[1].ID != 2 || d.Solids[1].Nodes[7] != 8 {
		t.Errorf("title or solids: %q %+v", d.Title, d.Solids)
	}
	if s := d.Shells; len(s) != 1 || s[0].Nodes[3] != 13 {
		t.Errorf("shells: %+v", s)
	}
	if len(d.Beams) != 1 || len(d.Masses) != 1 || d.Masses[0] != (NodalMass{9, 2.5}) || len(d.Parts) != 2 || d.Parts[2].Title != "second" {
		t.Errorf("beams %+v masses %+v parts %+v", d.Beams, d.Masses, d.Parts)
	}
	if d.Sections[7].Thickness != 1.5 || d.Sections[8].Area != 2.25 || d.Materials[1].Yield != 0.25 {
		t.Errorf("sections %+v materials %+v", d.Sections, d.Materials)
	}
	if len(d.NodeSets[3]) != 4 || len(d.Fixed) != 1 || !d.Fixed[0].X || d.Fixed[0].Y || !d.Fixed[0].Z {
		t.Errorf("sets %v fixed %+v", d.NodeSets, d.Fixed)
	}
	if len(d.Moving) != 1 || d.Moving[0].V[2] != -5 || len(d.Walls) != 1 || d.Walls[0].Normal != [3]float64{0, 0, 1} || d.Walls[0].Friction != .3 {
		t.Errorf("moving %+v walls %+v", d.Moving, d.Walls)
	}
	if d.EndTime != 2.5 || d.EndCycle != 100 || d.TimeStepSafe != 0.67 || d.PlotEvery != .5 || d.DumpEvery != 250 {
		t.Errorf("control: %+v", d)
	}
	if strings.Join(d.Directives, " ") != "hang=5 rank=1" || d.Warnings() != 1 {
		t.Errorf("directives %v, %d warnings", d.Directives, d.Warnings())
	}
}

func TestReaderComplains(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		code int
		says string
	}{
		"missing include":     {"*INCLUDE\nnone.k\n", 87, "File none.k does not exist"},
		"unknown keyword":     {"*NONSENSE\n1\n", 246, "*NONSENSE is not recognized"},
		"word for a number":   {"*NODE\n1,left,0,0\n", 9, "field 2 holds: left"},
		"undefined parameter": {"*NODE\n1,&gone,0,0\n", 9, "&gone"},
		"bad expression":      {"*PARAMETER_EXPRESSION\nRx        3*(2+\n", 303, "not a number"},
		"wall without normal": {"*RIGIDWALL_PLANAR\n0\n0,0,0,0,0,0\n", 305, "coincide"},
	} {
		t.Run(name, func(t *testing.T) {
			d := Parse([]byte(c.text), t.TempDir(), Options{})
			if len(d.Log) != 1 || d.Log[0].Code != c.code || !strings.Contains(d.Log[0].Text, c.says) {
				t.Errorf("%+v", d.Log)
			}
		})
	}
}

func TestIncludes(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("main.k", "*PARAMETER\nRx,3\n*INCLUDE_PATH_RELATIVE\nparts\n*INCLUDE\na.k\nsub/ +\nb.k\n*INCLUDE\nself.k\n*NODE\n9,0,0,0\n*END\n")
	put("parts/a.k", "*NODE\n1,&x,0,0\n*END\n")
	put("sub/b.k", "*INCLUDE\nsub/c.k\n*NODE\n2,0,0,0\n")
	put("sub/c.k", "*NODE\n3,0,0,0\n")
	put("self.k", "*INCLUDE\nself.k\n")
	d, err := Read(filepath.Join(dir, "main.k"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []int
	for _, n := range d.Nodes {
		ids = append(ids, n.ID)
	}
	if len(ids) != 4 || ids[0] != 1 || ids[1] != 3 || ids[2] != 2 || ids[3] != 9 || d.Nodes[0].X != 3 {
		t.Errorf("nodes %v", d.Nodes)
	}
	last := d.Log[len(d.Log)-1]
	if d.Errors() != 1 || last.Code != 88 || !strings.Contains(last.Text, "nested more than 20 deep") {
		t.Errorf("log %+v", d.Log)
	}
	if _, err := Read(filepath.Join(dir, "gone.k"), Options{}); err == nil {
		t.Error("a missing main file is no error")
	}
}

func TestEvaluate(t *testing.T) {
	params := map[string]float64{"a": 2, "e": 10}
	for text, want := range map[string]float64{
		"1+2*3": 7, "(1+2)*3": 9, "2**3**2": 512, "-a**2": -4, "2**-1": 0.5, "3 - -a": 5, "sqrt(16)/a": 2, "1e3 + e": 1010, "1.5d2": 150,
		"abs(-3) - int(2.9)": 1, "&a*&e": 20, "1e-3*a": 0.002,
	} {
		if got, err := evaluate(text, params); err != nil || math.Abs(got-want) > 1e-12 {
			t.Errorf("%s = %g, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1+", "(1", "1)", "b", "sqrt", "1..2", strings.Repeat("(", 5000), strings.Repeat("-", 5000)} {
		if v, err := evaluate(text, params); err == nil {
			t.Errorf("%.20s = %g", text, v)
		}
	}
}

// Real decks use much that is not modelled; none may confuse the reader.
func TestRealDecksAreRead(t *testing.T) {
	files, _ := filepath.Glob("../../../../shared/samples/decks/*")
	if len(files) == 0 {
		t.Skip("no sample decks beside the repository")
	}
	for _, f := range files {
		d, err := Read(f, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range d.Log {
			if m.Kind == Error && m.Code != 87 && !strings.Contains(m.Text, "&") { // includes and the parameters in them are not there
				t.Errorf("%s: error %d: %s", filepath.Base(f), m.Code, m.Text)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("*KEYWORD\n*NODE\n1,0,0,0\n*ELEMENT_SOLID\n1,1,1,2,3,4,5,6,7,8\n")
	f.Add("*PARAMETER_EXPRESSION\nRx        sqrt(2)**-1\n*RIGIDWALL_PLANAR\n0\n0,0,0,0,0,&x\n")
	f.Add("*INCLUDE\nx +\n")
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		Parse([]byte(text), dir, Options{})
		Parse([]byte(text), dir, Options{Long: true})
	})
}
