// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package house

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

const (
	root   = "../../.."
	module = "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna"
)

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

// rank orders the rooms: a room imports only rooms of a lower rank. Rooms of one
// rank do not know each other.
var rank = map[string]int{
	"":       5, // main.go
	"driver": 4, "command": 4,
	"allocator": 3, "lsdyna": 3, "supervisor": 3, "state": 3,
	"pidfile":          2,
	"internal":         1,
	"allocator/cpuset": 0,
}

// room returns the first element of a package's path below the module. The CPU set
// is a room of its own: every room may use it.
func room(pkg string) string {
	if pkg == "allocator/cpuset" {
		return pkg
	}
	first, _, _ := strings.Cut(pkg, "/")
	return first
}

// mayImport says in words why the package must not import the other, or "".
func mayImport(from, to string) string {
	from, to = room(from), room(to)
	if from == to {
		return ""
	}
	switch from {
	case "e2e": // looks at everything
		return ""
	case "example": // the stand-in solver must not share the code that it tests
		return "example stands alone"
	}
	a, knownA := rank[from]
	b, knownB := rank[to]
	switch {
	case !knownA:
		return fmt.Sprintf("room %q has no rank in this test", from)
	case !knownB:
		return fmt.Sprintf("%q is no room that others build on", to)
	case a <= b:
		return "imports go main → command, driver → allocator, lsdyna, supervisor, state → pidfile → internal → allocator/cpuset"
	}
	return ""
}

func TestImports_GoOneWay(t *testing.T) {
	for _, f := range sources(t, ".go") {
		dir := ""
		if i := strings.LastIndexByte(f.path, '/'); i >= 0 {
			dir = f.path[:i]
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.path, f.content, parser.ImportsOnly)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for _, spec := range parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			must.NoError(t, err)
			to, ours := strings.CutPrefix(path, module)
			if !ours {
				continue
			}
			if why := mayImport(dir, strings.TrimPrefix(to, "/")); why != "" {
				t.Errorf("%s imports %s: %s", f.path, path, why)
			}
		}
	}
}

func TestImports_RuleRefuses(t *testing.T) {
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{"", "driver", true},
		{"", "allocator", true},
		{"driver", "supervisor/shim", true},
		{"", "command", true},
		{"command", "supervisor", true},
		{"allocator", "allocator/cpuset", true},
		{"pidfile", "allocator/cpuset", true},
		{"pidfile", "internal/durable", true},
		{"internal/nomadcgroup", "allocator/cpuset", true},
		{"state", "pidfile", true},
		{"e2e", "state", true},
		{"allocator", "lsdyna", false},
		{"allocator/cpuset", "allocator", false},
		{"command", "driver", false},
		{"driver", "command", false},
		{"internal/nomadcgroup", "allocator", false},
		{"internal/durable", "pidfile", false},
		{"supervisor", "driver", false},
		{"pidfile", "state", false},
		{"driver", "", false},
		{"driver", "e2e/internal/proc", false},
		{"example/solver", "lsdyna", false},
		{"attic", "pidfile", false},
	} {
		must.Eq(t, c.allowed, mayImport(c.from, c.to) == "", must.Sprintf("%s imports %s", c.from, c.to))
	}
}

const licence = "// Copyright The nomad-driver-lsdyna Authors\n// SPDX-License-Identifier: MPL-2.0\n"

func TestEveryGoFileNamesItsLicence(t *testing.T) {
	for _, f := range sources(t, ".go") {
		if !strings.HasPrefix(f.content, licence) {
			t.Errorf("%s does not begin with:\n%s", f.path, licence)
		}
	}
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
