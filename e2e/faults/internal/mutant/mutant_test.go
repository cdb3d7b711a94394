// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package mutant

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

const root = "../../../.."

// Each mutant's text is still in the source, and what replaces it is Go.
func TestMutants_FitTheSource(t *testing.T) {
	for _, m := range All {
		t.Run(m.Name, func(t *testing.T) {
			overlay, err := Overlay(root, m, t.TempDir())
			must.NoError(t, err)
			data, err := os.ReadFile(overlay)
			must.NoError(t, err)
			var list struct{ Replace map[string]string }
			must.NoError(t, json.Unmarshal(data, &list))
			must.Positive(t, len(list.Replace))
			for original, changed := range list.Replace {
				_, err := os.Stat(original)
				must.NoError(t, err)
				_, err = parser.ParseFile(token.NewFileSet(), changed, nil, parser.AllErrors)
				must.NoError(t, err)
			}
		})
	}
}

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
