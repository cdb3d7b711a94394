// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package screen

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Wrap breaks a text into lines of a width; lines after the first are indented. It
// breaks at spaces, never behind a hyphen as ansi.Wrap does: core lists have many.
func Wrap(text string, width, indent int) []Line {
	var lines []Line
	current := ""
	for word := range strings.FieldsSeq(text) {
		if ansi.StringWidth(word) > width-indent { // a path, or a core list
			if current != "" {
				lines = append(lines, Text(current))
			}
			pieces := strings.Split(ansi.Hardwrap(word, width-indent, false), "\n")
			word, current = pieces[len(pieces)-1], ""
			for _, piece := range pieces[:len(pieces)-1] {
				lines = append(lines, Text(strings.Repeat(" ", indent)+piece))
			}
		}
		switch {
		case current == "" && len(lines) == 0:
			current = word
		case current == "":
			current = strings.Repeat(" ", indent) + word
		case ansi.StringWidth(current)+1+ansi.StringWidth(word) > width:
			lines = append(lines, Text(current))
			current = strings.Repeat(" ", indent) + word
		default:
			current += " " + word
		}
	}
	if current != "" {
		lines = append(lines, Text(current))
	}
	return lines
}

// Clean takes out what would steer a terminal: much of what is shown was
// written by the users of tasks. Variation selectors go as well: one makes whatever
// stands before it wider, a column's blank included.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.Is(unicode.Variation_Selector, r):
			return -1
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, text)
}

// Flow puts short pieces side by side.
func Flow(pieces []Line, width int) []Line {
	var lines []Line
	var current Line
	for _, p := range pieces {
		if current != nil && current.Width()+3+p.Width() > width {
			lines = append(lines, current)
			current = nil
		}
		if current != nil {
			current.Add(Plain, "   ")
		}
		for _, s := range p {
			current.Add(s.Style, s.Text)
		}
	}
	if current != nil {
		lines = append(lines, current)
	}
	return lines
}

// Bar draws progress from 0 to 1.
func (s Screen) Bar(ratio float64, width int, style Style) Line {
	full := min(max(int(ratio*float64(width)+0.5), 0), width)
	if full == width && ratio < 1 {
		full-- // full is for what is over
	}
	l := Line{}
	l.Add(style, strings.Repeat(string(s.Pick('█', '#')), full))
	l.Add(Dim, strings.Repeat(string(s.Pick('░', '.')), width-full))
	return l
}
