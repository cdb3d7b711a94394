// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package mutant

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/types"
	"io"
	"os"
)

// check type-checks the packages with changed files. Those that they import are as
// the compiler left them in its cache: that takes a fraction of a second where a
// build of the driver takes several.
func (m *Module) check(changed map[string]*file) error {
	if m.importer == nil {
		packages, err := m.list("-export", "-json=ImportPath,Export")
		if err != nil {
			return err
		}
		compiled := map[string]string{}
		for _, l := range packages {
			compiled[l.ImportPath] = l.Export
		}
		m.importer = importer.ForCompiler(m.fset, "gc", func(path string) (io.ReadCloser, error) {
			if compiled[path] == "" {
				return nil, fmt.Errorf("the driver is not built of %s", path)
			}
			return os.Open(compiled[path])
		})
	}
	var errs []error
	for _, p := range m.pkgs {
		syntax, affected := p.with(changed)
		if !affected {
			continue
		}
		config := types.Config{Importer: m.importer, Error: func(err error) { errs = append(errs, err) }}
		_, _ = config.Check(p.path, m.fset, syntax, nil) // Error has all of its errors
	}
	return errors.Join(errs...)
}

// with returns the package's files, and whether there are changed ones among them.
func (p *pkg) with(changed map[string]*file) (syntax []*ast.File, affected bool) {
	for _, f := range p.files {
		if c := changed[f.path]; c != nil {
			f, affected = c, true
		}
		syntax = append(syntax, f.syntax)
	}
	return syntax, affected
}
