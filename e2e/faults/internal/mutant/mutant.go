// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package mutant builds the driver with a mistake in it. The mistake replaces a
// text of the source while the compiler reads it (go build -overlay); no file
// changes, and the driver has no code for it. A text that is no longer there is an
// error: the mutant is to be brought up to date with the source then.
package mutant

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Mutant is one mistake.
type Mutant struct {
	Name  string
	Rule  string // that a campaign must find broken
	Fault string // that brings the mistake out, "" for any
	Job   string // kind of job that does, "" for any
	Edits []Edit
}

// An Edit replaces the one occurrence of a text in a file.
type Edit struct{ File, Old, New string }

// Build compiles the driver in the module at root with the mistake, to out.
func Build(ctx context.Context, root string, m Mutant, out string) error {
	dir, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return fmt.Errorf("mutant %s: %w", m.Name, err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	overlay, err := Overlay(root, m, dir)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", out, ".")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if words, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build mutant %s: %w\n%s", m.Name, err, words)
	}
	return nil
}

// Overlay writes the changed files and the compiler's list of them to dir, and
// returns the list's path.
func Overlay(root string, m Mutant, dir string) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", fmt.Errorf("mutant %s: %w", m.Name, err)
	}
	texts := map[string]string{}
	for _, e := range m.Edits {
		path := filepath.Join(root, e.File)
		text, ok := texts[path]
		if !ok {
			data, err := os.ReadFile(path)
			if err != nil {
				return "", fmt.Errorf("mutant %s: %w", m.Name, err)
			}
			text = string(data)
		}
		if n := strings.Count(text, e.Old); n != 1 {
			return "", fmt.Errorf("mutant %s: %s has the text %d times, not once: bring the mutant up to date\n%s", m.Name, e.File, n, e.Old)
		}
		texts[path] = strings.Replace(text, e.Old, e.New, 1)
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
