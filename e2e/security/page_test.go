// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"
)

const root = "../.."

func threats(t *testing.T) []threat {
	t.Helper()
	threats, err := readPage(filepath.Join(root, page))
	must.NoError(t, err)
	must.Greater(t, 25, len(threats))
	return threats
}

// The page promises a test for every defence.
func TestPage_EveryTestExists(t *testing.T) {
	files := testsOfTheModule(t)
	for _, threat := range threats(t) {
		for _, test := range threat.tests {
			if !slices.Contains(files[test.name], test.file) {
				t.Errorf("%s has no %s; it is in %v", test.file, test.name, files[test.name])
			}
		}
	}
}

var declaresTest = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)

// testsOfTheModule returns the files that declare each test, below the root.
func testsOfTheModule(t *testing.T) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	must.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, path)
		for _, name := range declaresTest.FindAllStringSubmatch(string(source), -1) {
			files[name[1]] = append(files[name[1]], below)
		}
		return err
	}))
	return files
}

// And that each fails when its defence is taken out: `make security-mutants` does
// so with these.
func TestPage_EveryTestHasAMutant(t *testing.T) {
	for _, threat := range threats(t) {
		for _, test := range threat.tests {
			if !slices.ContainsFunc(removals, func(r removal) bool {
				return strings.HasPrefix(threat.words, r.threat) && slices.Contains(r.tests, test.name)
			}) {
				t.Errorf("no mutant takes out what %s is to notice: %s", test.name, threat.words)
			}
		}
	}
}

func TestRemovals_AreOfThePage(t *testing.T) {
	names, lines := map[string]bool{}, threats(t)
	for _, r := range removals {
		at, err := find(lines, r.threat)
		must.NoError(t, err)
		must.Positive(t, len(r.tests), must.Sprint(r.name))
		for _, name := range r.tests {
			_, err := at.test(name)
			must.NoError(t, err)
		}
		must.False(t, names[r.threat+r.name], must.Sprintf("twice: %s", r.name))
		names[r.threat+r.name] = true
	}
}

// Each mutant still finds its place in the source, and makes valid Go of it.
func TestRemovals_FitTheSource(t *testing.T) {
	module, err := mutant.Load(root)
	must.NoError(t, err)
	for _, r := range removals {
		t.Run(r.name, func(t *testing.T) { must.NoError(t, module.Fits(r.mutant())) })
	}
}

func TestParseThreat(t *testing.T) {
	got, err := parseThreat("| a | b | `TestX`, `TestY` (d/x_test.go), `TestZ` (e/z_test.go) |\n")
	must.NoError(t, err)
	must.Eq(t, []namedTest{{"TestX", "d/x_test.go"}, {"TestY", "d/x_test.go"}, {"TestZ", "e/z_test.go"}}, got.tests)
	must.Eq(t, "a", got.words)
	must.Eq(t, "d", got.tests[0].dir())
	for line, want := range map[string]string{
		"| a | b |\n":                              "no three cells",
		"| a | b | none |\n":                       "no test",
		"| a | b | `TestX` |\n":                    "without its file",
		"| a | b | `TestX` (x_test.go), TestY |\n": "without its file",
	} {
		_, err := parseThreat(line)
		must.ErrorContains(t, err, want)
	}
}
