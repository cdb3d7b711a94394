// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package mutant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Module is the production code of a Go module: the packages that its main
// package is built of, without those of other modules and without tests.
type Module struct {
	root  string
	fset  *token.FileSet
	pkgs  []*pkg
	names map[string]string // of all packages it is built of: import path to name

	importer types.Importer // of what the compiler made of them; nil before the first check
}

// A pkg is one package of the module.
type pkg struct {
	path, name string
	dir        string // below the root
	files      []*file
}

// A file is one source file.
type file struct {
	pkg    *pkg
	path   string // absolute
	text   []byte
	syntax *ast.File
	lines  *token.File
}

// A declaration is a function, or another declaration at the top level of a file.
type declaration struct {
	file *file
	name string // "Function", "Type.Method", "variable"
	node ast.Node
	all  ast.Decl // what declares it, with the other names in its parentheses
}

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath, Name, Dir, Export string
	GoFiles                       []string
	Module                        *struct{ Main bool }
}

// Load reads the module whose main package is in the folder root.
func Load(root string) (*Module, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	m := &Module{root: root, fset: token.NewFileSet(), names: map[string]string{}}
	packages, err := m.list("-json=ImportPath,Name,Dir,GoFiles,Module")
	if err != nil {
		return nil, err
	}
	for _, l := range packages {
		m.names[l.ImportPath] = l.Name
		if l.Module == nil || !l.Module.Main {
			continue
		}
		dir, err := filepath.Rel(root, l.Dir)
		if err != nil {
			return nil, err
		}
		p := &pkg{path: l.ImportPath, name: l.Name, dir: dir}
		for _, name := range l.GoFiles {
			path := filepath.Join(l.Dir, name)
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			f, err := m.parse(path, p, text)
			if err != nil {
				return nil, err
			}
			p.files = append(p.files, f)
		}
		m.pkgs = append(m.pkgs, p)
	}
	return m, nil
}

// list asks the go command about all packages that the main package is built of.
func (m *Module) list(flags ...string) ([]listed, error) {
	cmd := exec.Command("go", append(append([]string{"list", "-deps"}, flags...), ".")...)
	cmd.Dir = m.root
	cmd.Env = environment()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w\n%s", m.root, err, stderr.String())
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list in %s: %w", m.root, err)
		}
		all = append(all, l)
	}
}

// parse reads a file of the package.
func (m *Module) parse(path string, p *pkg, text []byte) (*file, error) {
	syntax, err := parser.ParseFile(m.fset, path, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &file{pkg: p, path: path, text: text, syntax: syntax, lines: m.fset.File(syntax.FileStart)}, nil
}

// source returns the text from one position to another.
func (f *file) source(from, to token.Pos) string {
	return string(f.text[f.lines.Offset(from):f.lines.Offset(to)])
}

// line returns where a position is, for people.
func (f *file) line(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", filepath.Join(f.pkg.dir, filepath.Base(f.path)), f.lines.Line(pos))
}

// declarations returns those of the module, with the files that have been changed.
func (m *Module) declarations(changed map[string]*file) []*declaration {
	var all []*declaration
	for _, p := range m.pkgs {
		for _, f := range p.files {
			if c := changed[f.path]; c != nil {
				f = c
			}
			all = append(all, f.declarations()...)
		}
	}
	return all
}

// declarations returns the file's functions, variables, constants and types.
func (f *file) declarations() []*declaration {
	var all []*declaration
	for _, d := range f.syntax.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			all = append(all, &declaration{f, functionName(d), d, d})
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						all = append(all, &declaration{f, name.Name, spec, d})
					}
				case *ast.TypeSpec:
					all = append(all, &declaration{f, spec.Name.Name, spec, d})
				}
			}
		}
	}
	return all
}

// functionName returns "Function" or "Type.Method".
func functionName(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return d.Name.Name
	}
	of := d.Recv.List[0].Type
	for {
		switch t := of.(type) {
		case *ast.StarExpr:
			of = t.X
		case *ast.IndexExpr:
			of = t.X
		case *ast.IndexListExpr:
			of = t.X
		case *ast.Ident:
			return t.Name + "." + d.Name.Name
		default:
			return d.Name.Name
		}
	}
}

// plainName makes "(*Type).Method" "Type.Method".
func plainName(name string) string { return strings.NewReplacer("(*", "", ")", "").Replace(name) }

// named reports whether the declaration has this name, with or without its package.
func (d *declaration) named(name string) bool {
	name = plainName(name)
	return name == d.name || name == d.file.pkg.name+"."+d.name
}

// String returns the name with the package, as an edit may have it.
func (d *declaration) String() string {
	name := d.name
	if f, ok := d.node.(*ast.FuncDecl); ok && f.Recv != nil && len(f.Recv.List) > 0 {
		if _, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok {
			name = "(*" + strings.Replace(name, ".", ").", 1)
		}
	}
	return d.file.pkg.name + "." + name
}
