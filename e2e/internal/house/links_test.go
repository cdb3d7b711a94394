// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package house

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// link is a link in Markdown, with its target: [text](target). Of a picture that is a
// link it finds both targets.
var link = regexp.MustCompile(`\]\(([^()\s]+)\)`)

// Every link between the documents leads to a file of the repository, and its anchor to a
// heading there.
func TestLinksOfDocuments(t *testing.T) {
	pages := sources(t, ".md")
	for _, page := range pages {
		for _, m := range link.FindAllStringSubmatch(prose(page.content), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") {
				continue // another site
			}
			to := page.path
			if target != "" {
				to = path.Join(path.Dir(page.path), target)
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(to))); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", page.path, m[1])
				continue
			}
			if anchor == "" {
				continue
			}
			i := slices.IndexFunc(pages, func(f file) bool { return f.path == to })
			if i < 0 || !slices.Contains(anchors(pages[i].content), anchor) {
				t.Errorf("%s: %s has no heading for the link to %s", page.path, to, m[1])
			}
		}
	}
}

// Every page of docs/ can be found from README.
func TestReadmeNamesEveryPage(t *testing.T) {
	pages := sources(t, ".md")
	readme := pages[slices.IndexFunc(pages, func(f file) bool { return f.path == "README.md" })]
	for _, page := range pages {
		if path.Dir(page.path) == "docs" && !strings.Contains(readme.content, "("+page.path) {
			t.Errorf("README.md does not name %s", page.path)
		}
	}
}

// prose is a page without its blocks of code.
func prose(text string) string {
	var kept []string
	for i, part := range strings.Split(text, "```") {
		if i%2 == 0 {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "\n")
}

// anchors are those that GitHub makes of a page's headings: in small letters, with a dash for
// each blank, without all but letters, digits, dashes and underscores.
func anchors(text string) []string {
	var all []string
	for line := range strings.Lines(prose(text)) {
		title, is := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if !is || !strings.HasPrefix(line, "#") {
			continue
		}
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(title)))
	}
	return all
}
