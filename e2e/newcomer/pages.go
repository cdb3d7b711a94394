// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A block is what a page says to type: a fenced block that is marked as sh. Blocks
// without a mark, or with another one, are for readers only.
type block struct {
	where string // page and line
	text  string
}

// blocks finds the blocks of a page.
func blocks(page, text string) ([]block, error) {
	var found []block
	var open *block
	fenced := false
	n := 0
	for line := range strings.Lines(text) {
		n++
		mark, isFence := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "```")
		switch {
		case isFence && !fenced:
			fenced = true
			if mark == "sh" {
				open = &block{where: fmt.Sprintf("%s:%d", page, n)}
			}
		case isFence:
			if mark != "" {
				return nil, fmt.Errorf("%s:%d: a fence inside a block", page, n)
			}
			if open != nil {
				found = append(found, *open)
			}
			open, fenced = nil, false
		case open != nil:
			open.text += line
		}
	}
	if fenced {
		return nil, fmt.Errorf("%s: its last block has no end", page)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: says nothing to type", page)
	}
	return found, nil
}

// readPages returns the blocks of all pages, in order.
func readPages(dir string, pages []string) ([]block, error) {
	var all []block
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join(dir, page))
		if err != nil {
			return nil, err
		}
		found, err := blocks(page, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// mark begins the lines that tell which block comes: no page has it.
const mark = "\x1e"

// script is what a user's shell would get, who types one block after the other and stops
// where a command fails.
func script(all []block) string {
	var b strings.Builder
	b.WriteString("set -eu\n")
	for i, one := range all {
		fmt.Fprintf(&b, "echo '%s%d'\n%s", mark, i, one.text)
	}
	return b.String()
}

// typed counts the commands and characters of all blocks.
func typed(all []block) (lines, characters int) {
	for _, one := range all {
		lines += strings.Count(one.text, "\n")
		characters += len(one.text)
	}
	return lines, characters
}
