// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/fortran"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/linelabel"
)

// maxPrefix bounds what is taken for the prefix of a line.
const maxPrefix = 120

// maxIndent is how many blanks a prefix may have behind it. A progress line begins in
// one of the columns that are left.
const maxIndent = 3

// learnPrefix finds the prefix of a line that LS-DYNA prints, and has something before
// it. It looks for what no sentence holds: the box of the header, its date, the licence
// option, an error with its number, a progress line.
func learnPrefix(line []byte) (linelabel.Label, bool) {
	at := bytes.Index(line, []byte("|  Version : "))
	if at < 0 {
		at = bytes.Index(line, []byte(" License option : "))
	}
	if at < 0 {
		at = headerDateAt(line)
	}
	if at < 0 {
		at = errorAt(line)
	}
	if at < 0 {
		at = progressAt(line)
	}
	if at <= 0 || at > maxPrefix {
		return nil, false
	}
	prefix := bytes.TrimRight(line[:at], " ")
	if len(prefix) == 0 {
		return nil, false
	}
	return linelabel.Label(bytes.Clone(prefix)), true
}

// headerDateAt finds "Date: 05/20/2026      Time: 15:05:29".
func headerDateAt(line []byte) int {
	at := bytes.Index(line, []byte("Date: "))
	if at < 0 || len(line) < at+24 {
		return -1
	}
	if rest := line[at+6:]; rest[2] != '/' || rest[5] != '/' || !bytes.Contains(rest[10:], []byte(" Time: ")) {
		return -1
	}
	return at
}

// errorAt finds "*** Error 40509 (SOL+509)".
func errorAt(line []byte) int {
	at := bytes.Index(line, []byte("*** Error "))
	if at < 0 {
		return -1
	}
	if _, class, ok := numbered(line[at+len("*** Error "):]); !ok || class == "" {
		return -1
	}
	return at
}

// progressAt finds a progress line by its columns.
func progressAt(line []byte) int {
	dt := bytes.Index(line, []byte(" dt "))
	at := dt - (colDt - 4)
	if dt < 0 || at < 0 || !isProgress(line[at:]) {
		return -1
	}
	if _, ok := fortran.E10(line[at+colTime : at+colTimeEnd]); !ok {
		return -1
	}
	return at
}

// bare is a line without its prefix, and reports whether it had one.
func (r *Reader) bare(line []byte) ([]byte, bool) {
	if r.prefix != nil {
		if rest, ok := r.prefix.Strip(line); ok {
			return alignProgress(rest), true
		}
	}
	if r.plain {
		return line, false
	}
	if isProgress(line) {
		r.plain = r.prefix == nil
		return line, false
	}
	prefix, ok := learnPrefix(line)
	if !ok {
		return line, false
	}
	r.prefix = prefix
	rest, _ := prefix.Strip(line)
	return alignProgress(rest), true
}

// alignProgress takes the blanks away that a prefix has behind it, from a progress line.
func alignProgress(line []byte) []byte {
	for n := 0; n <= maxIndent && n < len(line); n++ {
		if isProgress(line[n:]) {
			return line[n:]
		}
		if line[n] != ' ' {
			break
		}
	}
	return line
}
