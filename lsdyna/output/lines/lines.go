// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package lines knows lines of LS-DYNA's outputs by their columns and words, and what
// launchers and log collectors put before them.
package lines

import (
	"bytes"
	"slices"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/fortran"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
)

// Columns of a progress line, counted from 0. Every one of the 167,208 lines
// seen has them; the line is 80 bytes long:
//
//	1302 t 1.3908E+00 dt 1.07E-03 write d3plot file            08/12/24 15:37:13
const (
	ColCycle, ColCycleEnd = 0, 8
	ColTime, ColTimeEnd   = 11, 21
	ColDt, ColDtEnd       = 25, 33
	ColEvent, ColEventEnd = 34, 63
	ColDate, ColDateEnd   = 63, 71
	ColClock, ColClockEnd = 72, 80
)

// IsProgress reports whether a line has the letters of a progress line in their
// columns, and a cycle. The thermal solver prints lines without a cycle: their time
// is that of a step that is not finished.
func IsProgress(line []byte) bool {
	return len(line) >= ColDtEnd && line[9] == 't' && line[8] == ' ' && line[10] == ' ' &&
		line[22] == 'd' && line[23] == 't' && line[21] == ' ' && line[24] == ' ' && line[7] != ' '
}

// Numbered reads `40500 (SOL+500)`.
func Numbered(rest []byte) (code int, class string, ok bool) {
	digits, after, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte(" "))
	n, ok := fortran.Integer(bytes.TrimRight(digits, "\r"))
	if !ok || len(digits) > 9 {
		return 0, "", false
	}
	if after = bytes.TrimLeft(after, " "); len(after) > 0 && after[0] == '(' {
		if end := bytes.IndexAny(after, "+)"); end > 0 && end < 24 {
			class = sanitize.Line(after[1:end], 24)
		}
	}
	return int(n), class, true
}

// HasAny reports whether one of some words stands in a line.
func HasAny(text string, words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
}
