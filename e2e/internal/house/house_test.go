// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package house

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

const root = "../../.."

// A file is one source file of the repository.
type file struct {
	path    string // below the root
	content string
}

// sources returns the repository's files with one of these suffixes.
func sources(t *testing.T, suffixes ...string) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "bin" || name == "dist" || name == "testdata" || strings.HasPrefix(name, ".") && path != root) {
			return fs.SkipDir
		}
		if d.IsDir() || !slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(name, s) }) {
			return nil
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an editor's temporary file
		}
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, path)
		files = append(files, file{filepath.ToSlash(below), string(content)})
		return err
	})
	must.NoError(t, err)
	must.Positive(t, len(files), must.Sprintf("no file *%s", suffixes))
	return files
}

// Paths of the machine that the project was written on. Tests may look for the
// shared folder beside the repository, if they skip without it.
func TestNoPathOfOneMachine(t *testing.T) {
	words := []string{"/wo" + "rk/", "../sha" + "red"}
	for _, f := range sources(t, ".go", ".hcl", "GNUmakefile", ".sh", ".md") {
		mayLook := strings.HasSuffix(f.path, "_test.go") && strings.Contains(f.content, "Skip")
		for n, word := range words {
			if strings.Contains(f.content, word) && (n == 0 || !mayLook) {
				t.Errorf("%s mentions %s", f.path, word)
			}
		}
	}
}
