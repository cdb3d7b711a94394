// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package mutant builds the driver with a mistake in it. The compiler reads the
// changed source (go build -overlay, go test -overlay); no file changes, and the
// driver has no code for it.
//
// A change names a function and an expression or statement in it. Both are looked
// for in the syntax trees of the module's production code, so that a mutant
// survives when code moves to another file or package, and when it is formatted
// anew. A mutant whose function or expression is gone is an error: it is to be
// brought up to date with the source then.
package mutant

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// A Mutant is one mistake.
type Mutant struct {
	Name  string
	Edits []Edit // applied one after the other
}

// others are the programs that agents need beside the plugin.
var others = []string{"nomad", "lsdyna-standin"}

// plugin is the driver's file name.
const plugin = "nomad-driver-lsdyna"

// Fits returns an error unless each edit of the mutant finds its place in the
// source exactly once, and the changed packages are valid Go, types included.
func (m *Module) Fits(mutant Mutant) error {
	changed, err := m.apply(mutant)
	if err != nil {
		return err
	}
	if err := m.check(changed); err != nil {
		return fmt.Errorf("mutant %q is not valid Go: %w", mutant.Name, err)
	}
	return nil
}

// Overlay writes the changed files and the compiler's list of them to dir, and
// returns the list's path.
func (m *Module) Overlay(mutant Mutant, dir string) (string, error) {
	changed, err := m.apply(mutant)
	if err != nil {
		return "", err
	}
	var list struct{ Replace map[string]string }
	list.Replace = map[string]string{}
	for path, f := range changed {
		name := filepath.Join(dir, fmt.Sprintf("%d-%s", len(list.Replace), filepath.Base(path)))
		if err := os.WriteFile(name, f.text, 0o644); err != nil {
			return "", fmt.Errorf("mutant %q: %w", mutant.Name, err)
		}
		list.Replace[path] = name
	}
	data, err := json.Marshal(list)
	if err != nil {
		return "", fmt.Errorf("mutant %q: %w", mutant.Name, err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, data, 0o644); err != nil {
		return "", fmt.Errorf("mutant %q: %w", mutant.Name, err)
	}
	return overlay, nil
}

// Bin makes a directory of binaries in dir: the driver with the mistake, and links
// to the other programs in bin.
func (m *Module) Bin(ctx context.Context, mutant Mutant, bin, dir string) error {
	if err := m.build(ctx, mutant, filepath.Join(dir, plugin)); err != nil {
		return err
	}
	for _, other := range others {
		path, err := filepath.Abs(filepath.Join(bin, other))
		if err != nil {
			return fmt.Errorf("mutant %q: %w", mutant.Name, err)
		}
		if err := os.Symlink(path, filepath.Join(dir, other)); err != nil {
			return fmt.Errorf("mutant %q: %w", mutant.Name, err)
		}
	}
	return nil
}

// build compiles the driver with the mistake, to out.
func (m *Module) build(ctx context.Context, mutant Mutant, out string) error {
	dir, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return fmt.Errorf("mutant %q: %w", mutant.Name, err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	overlay, err := m.Overlay(mutant, dir)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-overlay", overlay, "-o", out, ".")
	cmd.Dir = m.root
	cmd.Env = environment()
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build mutant %q: %w\n%s", mutant.Name, err, output)
	}
	return nil
}

// environment is that of the go command: the driver is built without cgo.
func environment() []string { return append(os.Environ(), "CGO_ENABLED=0") }

// apply returns the files that the mutant changes, by their paths, with the change.
func (m *Module) apply(mutant Mutant) (map[string]*file, error) {
	changed := map[string]*file{}
	for _, e := range mutant.Edits {
		if err := m.edit(e, changed); err != nil {
			return nil, fmt.Errorf("mutant %q: %w", mutant.Name, err)
		}
	}
	for path, f := range changed {
		fixed, err := m.fixImports(f)
		if err != nil {
			return nil, fmt.Errorf("mutant %q: %w", mutant.Name, err)
		}
		changed[path] = fixed
	}
	if len(changed) == 0 {
		return nil, fmt.Errorf("mutant %q changes nothing", mutant.Name)
	}
	return changed, nil
}

// edit applies one edit to the source with what has been changed before.
func (m *Module) edit(e Edit, changed map[string]*file) error {
	in, c, err := e.place(m.declarations(changed))
	if err != nil {
		return err
	}
	f := in.file
	from, to := f.lines.Offset(c.from), f.lines.Offset(c.to)
	if string(f.text[from:to]) == c.text {
		return fmt.Errorf("%v changes nothing", e)
	}
	text := slices.Concat(f.text[:from], []byte(c.text), f.text[to:])
	edited, err := m.parse(f.path, f.pkg, text)
	if err != nil {
		return fmt.Errorf("%v makes invalid Go: %w", e, err)
	}
	changed[f.path] = edited
	return nil
}
