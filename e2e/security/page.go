// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"strings"
)

// page is the promise that is tested here.
const page = "SECURITY.md"

// A threat is one line of the page's table.
type threat struct {
	words string
	tests []namedTest
}

// A namedTest is a test as the page names it.
type namedTest struct{ name, file string }

// dir is the test's package, as a folder below the module's root.
func (t namedTest) dir() string { return path.Dir(t.file) }

// groupOfTests is one or several tests and their file, as the page names them:
// `TestA`, `TestB` (dir/file_test.go).
var groupOfTests = regexp.MustCompile("((?:`Test\\w+`(?:, )?)+) \\(([\\w/.-]+_test\\.go)\\)")

var testName = regexp.MustCompile(`Test\w+`)

// readPage returns the page's threats, each with one test at least.
func readPage(file string) ([]threat, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	_, table, found := strings.Cut(string(text), "| threat | defence | test |\n|---|---|---|\n")
	if !found {
		return nil, fmt.Errorf("%s has no table of threats", file)
	}
	var threats []threat
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") {
			break
		}
		t, err := parseThreat(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %s", file, err, line)
		}
		threats = append(threats, t)
	}
	return threats, nil
}

func parseThreat(line string) (threat, error) {
	cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
	if len(cells) != 3 {
		return threat{}, errors.New("a line of the table has no three cells")
	}
	t := threat{words: strings.TrimSpace(cells[0])}
	for _, group := range groupOfTests.FindAllStringSubmatch(cells[2], -1) {
		for _, name := range testName.FindAllString(group[1], -1) {
			t.tests = append(t.tests, namedTest{name, group[2]})
		}
	}
	switch named := len(testName.FindAllString(cells[2], -1)); {
	case named == 0:
		return t, errors.New("no test")
	case named != len(t.tests):
		return t, errors.New("a test without its file")
	}
	return t, nil
}

// find returns the one threat that begins with these words.
func find(threats []threat, words string) (threat, error) {
	var found []threat
	for _, t := range threats {
		if strings.HasPrefix(t.words, words) {
			found = append(found, t)
		}
	}
	if len(found) != 1 {
		return threat{}, fmt.Errorf("%d lines of %s begin with %q, not one", len(found), page, words)
	}
	return found[0], nil
}

// test returns the threat's test of this name.
func (t threat) test(name string) (namedTest, error) {
	for _, n := range t.tests {
		if n.name == name {
			return n, nil
		}
	}
	return namedTest{}, fmt.Errorf("%s does not name %s for: %s", page, name, t.words)
}
