// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package linelabel takes the labels off lines that launchers and log collectors put
// before them.
package linelabel

import "bytes"

// Label is what launchers and log collectors put before each line: "[1,0]<stdout>:"
// of mpirun, "0: " of srun, "lsdyna-1  | " of docker compose, a time. Its digits and the
// name of the stream change from line to line. Blanks at its end belong to no column.
type Label []byte

// Strip returns what follows the label in a line.
func (p Label) Strip(line []byte) ([]byte, bool) {
	i := skipBlanks(line, 0)
	for j := skipBlanks(p, 0); j < len(p); {
		switch c := p[j]; {
		case i >= len(line):
			return line, false
		case isDigit(c) && isDigit(line[i]):
			i, j = skipDigits(line, i), skipDigits(p, j)
		case c == ' ' && line[i] == ' ':
			i, j = skipBlanks(line, i), skipBlanks(p, j)
		case c == line[i]:
			i, j = i+1, j+1
		case bytes.HasPrefix(p[j:], []byte("out>")) && bytes.HasPrefix(line[i:], []byte("err>")),
			bytes.HasPrefix(p[j:], []byte("err>")) && bytes.HasPrefix(line[i:], []byte("out>")),
			bytes.HasPrefix(p[j:], []byte("out ")) && bytes.HasPrefix(line[i:], []byte("err ")): // stdout and stderr
			i, j = i+3, j+3
		default:
			return line, false
		}
	}
	return line[i:], true
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func skipDigits(b []byte, i int) int {
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	return i
}

func skipBlanks(b []byte, i int) int {
	for i < len(b) && b[i] == ' ' {
		i++
	}
	return i
}
