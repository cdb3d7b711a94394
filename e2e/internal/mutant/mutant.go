// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package mutant builds the driver with a mistake in it. The mistake replaces a
// text of the source while the compiler reads it (go build -overlay, go test
// -overlay); no file changes, and the driver has no code for it. A text that is no
// longer there is an error: the mutant is to be brought up to date with the source
// then.
package mutant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Mutant is one mistake.
type Mutant struct {
	Name  string
	Edits []Edit
}

// An Edit replaces the one occurrence of a text in a file.
type Edit struct{ File, Old, New string }

// In is an edit of a file, named from the module's root.
func In(file, old, replacement string) Edit { return Edit{File: file, Old: old, New: replacement} }

// others are the programs that agents need beside the plugin.
var others = []string{"nomad", "lsdyna-standin"}

// plugin is the driver's file name.
const plugin = "nomad-driver-lsdyna"

// Bin makes a directory of binaries in dir: the driver of the module at root with
// the mistake, and links to the other programs in bin.
func Bin(ctx context.Context, root string, m Mutant, bin, dir string) error {
	if err := m.build(ctx, root, filepath.Join(dir, plugin)); err != nil {
		return err
	}
	for _, other := range others {
		path, err := filepath.Abs(filepath.Join(bin, other))
		if err != nil {
			return fmt.Errorf("mutant %s: %w", m.Name, err)
		}
		if err := os.Symlink(path, filepath.Join(dir, other)); err != nil {
			return fmt.Errorf("mutant %s: %w", m.Name, err)
		}
	}
	return nil
}

// build compiles the driver with the mistake, to out.
func (m Mutant) build(ctx context.Context, root, out string) error {
	dir, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return fmt.Errorf("mutant %s: %w", m.Name, err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	overlay, err := Overlay(root, m, dir)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-overlay", overlay, "-o", out, ".")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if words, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build mutant %s: %w\n%s", m.Name, err, words)
	}
	return nil
}

// Fits tells whether the mutant's texts are still in the source, once each, and
// whether what replaces them is Go. Whether it compiles, only the compiler knows.
func Fits(root string, m Mutant) error {
	texts, err := m.apply(root)
	if err != nil {
		return err
	}
	if len(texts) == 0 {
		return fmt.Errorf("mutant %s changes nothing", m.Name)
	}
	var errs []error
	for path, text := range texts {
		_, err := parser.ParseFile(token.NewFileSet(), path, text, parser.AllErrors)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Overlay writes the changed files and the compiler's list of them to dir, and
// returns the list's path.
func Overlay(root string, m Mutant, dir string) (string, error) {
	texts, err := m.apply(root)
	if err != nil {
		return "", err
	}
	var list struct{ Replace map[string]string }
	list.Replace = map[string]string{}
	for path, text := range texts {
		changed := filepath.Join(dir, fmt.Sprintf("%d-%s", len(list.Replace), filepath.Base(path)))
		if err := os.WriteFile(changed, []byte(text), 0o644); err != nil {
			return "", fmt.Errorf("mutant %s: %w", m.Name, err)
		}
		list.Replace[path] = changed
	}
	data, err := json.Marshal(list)
	if err != nil {
		return "", fmt.Errorf("mutant %s: %w", m.Name, err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, data, 0o644); err != nil {
		return "", fmt.Errorf("mutant %s: %w", m.Name, err)
	}
	return overlay, nil
}

// apply returns the files that the mutant changes, by their absolute paths, with
// the change.
func (m Mutant) apply(root string) (map[string]string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("mutant %s: %w", m.Name, err)
	}
	texts := map[string]string{}
	for _, e := range m.Edits {
		path := filepath.Join(root, e.File)
		text, ok := texts[path]
		if !ok {
			data, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("mutant %s: %w", m.Name, err)
			}
			text = string(data)
		}
		if n := strings.Count(text, e.Old); n != 1 {
			return nil, fmt.Errorf("mutant %s: %s has the text %d times, not once: bring the mutant up to date\n%s", m.Name, e.File, n, e.Old)
		}
		texts[path] = strings.Replace(text, e.Old, e.New, 1)
	}
	return texts, nil
}
