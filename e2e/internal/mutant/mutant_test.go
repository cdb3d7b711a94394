// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package mutant

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

func TestOverlay_RefusesATextThatIsGoneOrThereTwice(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(dir, "a.go"), []byte("package a\n\nvar x, y = 1, 1\n"), 0o644))
	for text, ok := range map[string]bool{"x, y": true, "z": false, "1": false} {
		_, err := Overlay(dir, Mutant{Name: "m", Edits: []Edit{{"a.go", text, "x, w"}}}, t.TempDir())
		must.Eq(t, ok, err == nil, must.Sprint(text, err))
		if !ok {
			must.ErrorContains(t, err, "bring the mutant up to date")
		}
	}
}

func TestFits_TakesGoOnly(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(dir, "a.go"), []byte("package a\n\nvar x = 1\n"), 0o644))
	must.NoError(t, Fits(dir, Mutant{Name: "m", Edits: []Edit{{"a.go", "= 1", "= 2"}}}))
	must.ErrorContains(t, Fits(dir, Mutant{Name: "m", Edits: []Edit{{"a.go", "= 1", "= ="}}}), "expected operand")
	must.ErrorContains(t, Fits(dir, Mutant{Name: "m"}), "changes nothing")
}
