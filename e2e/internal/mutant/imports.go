// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package mutant

import (
	"bytes"
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// fixImports makes a changed file import what it uses, and nothing else: code that
// an edit adds or takes out must not depend on what its file does besides.
func (m *Module) fixImports(f *file) (*file, error) {
	used, imported := f.qualifiers(), map[string]bool{}
	text := f.text
	for _, spec := range slices.Backward(f.syntax.Imports) {
		name := m.importName(spec)
		imported[name] = true
		if used[name] || name == "_" || name == "." {
			continue
		}
		from := f.lines.Offset(spec.Pos())
		text = slices.Concat(text[:from], []byte("_ "+spec.Path.Value), text[f.lines.Offset(spec.End()):])
	}
	known := m.knownImports()
	for _, name := range slices.Sorted(maps.Keys(used)) {
		path := known[name]
		if imported[name] || path == "" || f.variable(name) {
			continue
		}
		at := f.lines.Offset(f.syntax.Name.End()) // before all imports: offsets hold
		text = slices.Concat(text[:at], []byte("; import "+name+" "+strconv.Quote(path)), text[at:])
	}
	if bytes.Equal(text, f.text) {
		return f, nil
	}
	fixed, err := m.parse(f.path, f.pkg, text)
	if err != nil {
		return nil, fmt.Errorf("imports of %s: %w", f.path, err)
	}
	return fixed, nil
}

// importName returns the name by which a file knows an imported package.
func (m *Module) importName(spec *ast.ImportSpec) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	path, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return ""
	}
	if name := m.names[path]; name != "" {
		return name
	}
	return path[strings.LastIndexByte(path, '/')+1:]
}

// knownImports returns the packages that the module's files import, by the names
// that they go by there; those whose name is another's, too, have the path "".
func (m *Module) knownImports() map[string]string {
	known := map[string]string{}
	for _, p := range m.pkgs {
		for _, f := range p.files {
			for _, spec := range f.syntax.Imports {
				name := m.importName(spec)
				path, err := strconv.Unquote(spec.Path.Value)
				if before, ok := known[name]; err != nil || ok && before != path {
					path = ""
				}
				known[name] = path
			}
		}
	}
	return known
}

// qualifiers returns what stands before a dot and an exported name in the file:
// packages, and variables.
func (f *file) qualifiers() map[string]bool {
	used := map[string]bool{}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.IsExported() {
			if x, ok := s.X.(*ast.Ident); ok {
				used[x.Name] = true
			}
		}
		return true
	})
	return used
}

// variable reports whether the name stands in the file for something else than a
// package: somewhere it is not followed by a dot, or the package declares it.
func (f *file) variable(name string) bool {
	qualifiers, found := map[*ast.Ident]bool{}, false
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				qualifiers[x] = true
			}
			qualifiers[n.Sel] = true
		case *ast.ImportSpec:
			return false
		case *ast.Ident:
			found = found || n.Name == name && !qualifiers[n] && n != f.syntax.Name
		}
		return true
	})
	for _, other := range f.pkg.files {
		found = found || slices.ContainsFunc(other.declarations(), func(d *declaration) bool { return d.name == name })
	}
	return found
}
