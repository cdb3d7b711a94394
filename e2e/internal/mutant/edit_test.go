// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package mutant

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// load makes a module of a main package and a package below it.
func load(t *testing.T, main, below string) *Module {
	t.Helper()
	return loadFiles(t, map[string]string{
		"main.go":        "package main\n\nimport \"m/below\"\n\nfunc main() { below.Run() }\n\n" + main,
		"below/below.go": "package below\n\nfunc Run() {}\n\n" + below,
	})
}

func loadFiles(t *testing.T, files map[string]string) *Module {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module m\n\ngo 1.26\n"
	for name, text := range files {
		must.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	m, err := Load(dir)
	must.NoError(t, err)
	return m
}

// changed returns the one file that edits change, without the blanks.
func changed(t *testing.T, m *Module, edits ...Edit) string {
	t.Helper()
	mutant := Mutant{Name: "m", Edits: edits}
	must.NoError(t, m.Fits(mutant))
	files, err := m.apply(mutant)
	must.NoError(t, err)
	must.MapLen(t, 1, files)
	for _, f := range files {
		return strings.Join(strings.Fields(string(f.text)), "")
	}
	return ""
}

func TestEdit_ChangesTheOnePlace(t *testing.T) {
	const source = `
type folder struct{ flags, mode int }

var settings = map[string]int{"limit": 1, "other": 2}

func (f *folder) open(name string, n int) (err error) {
	// A comment.
	if x := len(name); x > 0 && n ==
		f.mode { // another
		return nil
	}
	f.flags = read | write | (noFollow)
	switch {
	case n > 3:
		n = 3
	case n < 0:
		n = call(n, (n + 1), "a b")
	}
	g := folder{flags: 1, mode: n}
	return g.close(f)
}

const read, write, noFollow = 1, 2, 4

func call(a, b int, s string) int { return a }

func (folder) close(other *folder) error { return nil }
`
	m := load(t, source, "")
	for name, c := range map[string]struct {
		edit Edit
		want string // blanks do not count
	}{
		"an expression, formatted otherwise": {Replace("(*folder).open", "n==f.mode", "n > 1"), "x>0&&(n>1){"},
		"an expression in parentheses":       {Replace("folder.open", "n + 1", "7"), "call(n,(7)"},
		"a string, quoted otherwise":         {Replace("folder.open", "`a b`", `"c"`), `(n+1),"c")`},
		"a statement":                        {Replace("folder.open", "n = 3", "n = 4\nn++"), "casen>3:n=4n++case"},
		"statements in a row":                {Replace("folder.open", "g := folder{flags: 1, mode: n}\nreturn g.close(f)", "return nil"), "}returnnil}"},
		"whatever is assigned":               {Replace("folder.open", "f.flags = _", "f.flags = n"), "f.flags=nswitch"},
		"a call with any arguments":          {Replace("folder.open", "call(_, _, _)", "5"), "n=5}"},
		"with its package":                   {Replace("main.(*folder).open", "n == f.mode", "n > 1"), "(n>1)"},
		"in a variable":                      {SetField("settings", `"limit"`, "9"), `"limit":9,`},
		"a statement dropped":                {Drop("folder.open", "n = 3"), "casen>3:casen<0"},
		"an if dropped by its head":          {Drop("folder.open", "if x := len(name); x > 0 && n == f.mode"), "//Acomment.f.flags="},
		"a case dropped by its head":         {Drop("folder.open", "case n > 3:"), "switch{casen<0:"},
		"before":                             {Before("folder.open", "n = 3", "f.mode++"), "casen>3:f.mode++n=3"},
		"after":                              {After("folder.open", "n = 3", "f.mode++"), "n=3f.mode++case"},
		"at the start":                       {Begin("folder.open", "n++"), "(errerror){n++//Acomment."},
		"an operand is never true":           {Never("folder.open", "n == f.mode"), "x>0&&(false&&(n==f.mode)){"},
		"a head is never true":               {Never("folder.open", "if x := len(name); x > 0 && _"), "ifx:=len(name);(false&&(x>0&&n==f.mode)){"},
		"a case is always true":              {Always("folder.open", "case n > 3:"), "case(true||(n>3)):"},
		"the last flag":                      {DropFlag("folder.open", "noFollow"), "=read|writeswitch"},
		"a flag in the middle":               {DropFlag("folder.open", "write"), "=read|(noFollow)"},
		"the first flag":                     {DropFlag("folder.open", "read"), "=write|(noFollow)"},
		"an argument":                        {SetArg("folder.open", "call", 0, "0"), "call(0,"},
		"an argument of a call like this":    {SetArg("folder.open", `call(_, _, "a b")`, 0, "0"), "call(0,"},
		"a field":                            {SetField("folder.open", "mode", "0"), "folder{flags:1,mode:0}"},
		"a field dropped":                    {DropField("folder.open", "flags"), "folder{mode:n}"},
		"the last field dropped":             {DropField("folder.open", "mode"), "folder{flags:1,}"},
		"a declaration beside":               {Declare("settings", "var extra = 1"), `}varextra=1func(f*folder)open`},
		"a declaration beside one of many":   {Declare("write", "var extra = 1"), `=1,2,4varextra=1func`},
	} {
		t.Run(name, func(t *testing.T) { must.StrContains(t, changed(t, m, c.edit), c.want) })
	}
}

func TestEdit_FindsThePlaceWhereverItIs(t *testing.T) {
	const code = "func limit(n int) bool { return n > 3 }\n"
	never := Never("limit", "n > 3")
	must.StrContains(t, changed(t, load(t, code, ""), never), "packagemain")
	must.StrContains(t, changed(t, load(t, "", code), never), "packagebelow")
}

func TestEdit_OneAfterTheOther(t *testing.T) {
	m := load(t, "func f(a, b int) int { return a + b }\n", "")
	text := changed(t, m, Replace("f", "a + b", "b + b"), Replace("f", "b + b", "two * b"), Declare("f", "const two = 2"))
	must.StrContains(t, text, "{return((two*b))}consttwo=2")
}

func TestEdit_RefusesWhatDoesNotFit(t *testing.T) {
	const source = "func f(a int) bool { return a > 1 || a > 2 || a > 1 }\n\ntype x struct{}\n\nfunc (x) same() {}\n\nfunc g(a int) bool { return a > 5 }\n"
	const below = "func same(a int) bool { return a > 4 }\n\nfunc f() {}\n\nfunc h(a int) bool { return a > 5 }\n"
	m := load(t, source, below)
	for name, c := range map[string]struct {
		edit Edit
		want []string
	}{
		"nothing of that name":        {Never("(*y).same", "a > 4"), []string{"no such declaration", "it is in below.same (below/below.go:5)", "there is main.x.same (main.go:11)"}},
		"two of that name":            {Never("f", "a > 2"), []string{"there are several, put the package's name before it", "main.f (main.go:7)", "below.f (below/below.go:7)"}},
		"it is gone":                  {Never("main.f", "a > 3"), []string{"it is not there", "it is nowhere else"}},
		"it is elsewhere":             {Never("main.f", "a > 4"), []string{"it is not there", "it is in below.same"}},
		"it is there twice":           {Never("main.f", "a > 1"), []string{"it is there 2 times, not once", "main.go:7"}},
		"it is there in two others":   {Never("main.f", "a > 5"), []string{"it is in main.g", "it is in below.h"}},
		"not the function's argument": {SetArg("main.f", "println", 0, "1"), []string{"it is not there"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := m.Fits(Mutant{Name: "m", Edits: []Edit{c.edit}})
			must.ErrorIs(t, err, errUpdate)
			for _, want := range c.want {
				must.ErrorContains(t, err, want)
			}
		})
	}
}

func TestEdit_RefusesWhatMakesNoMutant(t *testing.T) {
	m := load(t, "func f(a int) int { return a }\n", "")
	for name, c := range map[string]struct {
		edits []Edit
		want  string
	}{
		"no edit":              {nil, "changes nothing"},
		"the same":             {[]Edit{Replace("f", "return a", "return a")}, "changes nothing"},
		"what is no Go":        {[]Edit{Replace("f", "return a", "return =")}, "expected operand"},
		"what has other types": {[]Edit{Replace("f", "return a", `return "a"`)}, "cannot use"},
		"what is not declared": {[]Edit{Replace("f", "return a", "return b")}, "undefined: b"},
		"what is not used":     {[]Edit{Replace("f", "return a", "b := 1\nreturn a")}, "declared and not used"},
		"a bad expression":     {[]Edit{DropFlag("f", "a |")}, "is no expression"},
		"a bad statement":      {[]Edit{Drop("f", "if {")}, "is no statement"},
		"no condition":         {[]Edit{Never("f", "return a")}, "is no condition"},
		"several conditions":   {[]Edit{Never("f", "case 1, 2:")}, "is no condition"},
	} {
		t.Run(name, func(t *testing.T) {
			must.ErrorContains(t, m.Fits(Mutant{Name: "m", Edits: c.edits}), c.want)
		})
	}
}

// What an edit adds or takes out must not depend on its file's other imports.
func TestEdit_ImportsWhatIsUsed(t *testing.T) {
	m := loadFiles(t, map[string]string{
		"main.go": "package main\n\nimport \"m/below\"\nimport \"strings\"\n\n" +
			"func main() { println(below.F(strings.ToUpper(\"\"), nil)) }\n",
		"below/below.go": "package below\n\nimport \"os\"\n\n" +
			"func F(a string, files []*os.File) string { return a + os.Args[0] }\n",
		"below/other.go": "package below\n\nfunc g() string { return F(\"\", nil) }\n",
	})
	must.StrContains(t, changed(t, m, Replace("F", "os.Args[0]", "strings.ToLower(a)")),
		`packagebelow;importstrings"strings"import"os"`)
	must.StrContains(t, changed(t, m, Replace("below.g", `F("", nil)`, "os.Args[1]")), `packagebelow;importos"os"`)
	must.StrContains(t, changed(t, m, Replace("main", "strings.ToUpper(_)", `""`)), `import_"strings"`)
	must.StrContains(t, changed(t, m, Begin("below.g", "strings := struct{ N int }{1}\nprintln(strings.N)")), "packagebelowfuncg()")
}
