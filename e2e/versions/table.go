// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"regexp"
	"strings"
)

// A result is what came of one test.
type result struct {
	test    string
	verdict string // ok, failed or skipped
	seconds string
}

// A column is what came of the tests with one version of Nomad.
type column struct {
	version string
	results []result
}

// ended is a line about a test, not about one of its parts.
var ended = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\S+) \((\d+)\.\d+s\)$`)

// begun is a line about a test that begins.
var begun = regexp.MustCompile(`(?m)^=== RUN   ([^/\s]+)$`)

// parse reads what a test binary has printed with -test.v. A test that has begun and
// has not ended has failed: the binary ended first.
func parse(output string) []result {
	words := map[string]string{"PASS": "ok", "FAIL": "failed", "SKIP": "skipped"}
	known := make(map[string]result)
	for _, m := range ended.FindAllStringSubmatch(output, -1) {
		known[m[2]] = result{m[2], words[m[1]], m[3]}
	}
	var results []result
	for _, m := range begun.FindAllStringSubmatch(output, -1) {
		r, ok := known[m[1]]
		if !ok {
			r = result{test: m[1], verdict: "failed"}
		}
		results = append(results, r)
	}
	return results
}

// table shows tests and versions in Markdown, as docs/install.md has it.
func table(columns []column) string {
	var tests []string
	cells := make(map[string]map[string]string) // by test and version
	head, rule := "| Test |", "|---|"
	for _, c := range columns {
		head += " " + c.version + " |"
		rule += "---|"
		for _, r := range c.results {
			if cells[r.test] == nil {
				cells[r.test] = make(map[string]string)
				tests = append(tests, r.test)
			}
			cells[r.test][c.version] = strings.TrimSpace(r.verdict + " " + r.time())
		}
	}
	lines := []string{head, rule}
	for _, test := range tests {
		var line strings.Builder
		fmt.Fprintf(&line, "| `%s` |", test)
		for _, c := range columns {
			cell := cells[test][c.version]
			if cell == "" {
				cell = "not run"
			}
			line.WriteString(" " + cell + " |")
		}
		lines = append(lines, line.String())
	}
	return strings.Join(lines, "\n") + "\n"
}

func (r result) time() string {
	if r.seconds == "" || r.verdict == "skipped" {
		return ""
	}
	return r.seconds + " s"
}
