// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lines

import (
	"bytes"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/fortran"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/linelabel"
)

// maxPrefix bounds what is taken for the prefix of a line.
const maxPrefix = 120

// MaxIndent is how many blanks a prefix may have behind it. A progress line begins in
// one of the columns that are left.
const MaxIndent = 3

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
	if _, class, ok := Numbered(line[at+len("*** Error "):]); !ok || class == "" {
		return -1
	}
	return at
}

// progressAt finds a progress line by its columns.
func progressAt(line []byte) int {
	dt := bytes.Index(line, []byte(" dt "))
	at := dt - (ColDt - 4)
	if dt < 0 || at < 0 || !IsProgress(line[at:]) {
		return -1
	}
	if _, ok := fortran.E10(line[at+ColTime : at+ColTimeEnd]); !ok {
		return -1
	}
	return at
}

// Labels takes the prefix off the lines of one file. The zero value is ready.
type Labels struct {
	label linelabel.Label // of the lines of this file; nil: none, or not known
	plain bool            // the lines have none
}

// Plain notes a line that LS-DYNA prints and that had nothing before it.
func (l *Labels) Plain() { l.plain = l.plain || l.label == nil }

// None reports whether the lines are known to have no prefix.
func (l *Labels) None() bool { return l.plain && l.label == nil }

// Strip returns a line without its prefix, and reports whether it had one.
func (l *Labels) Strip(line []byte) ([]byte, bool) {
	if l.label != nil {
		if rest, ok := l.label.Strip(line); ok {
			return alignProgress(rest), true
		}
	}
	if l.plain {
		return line, false
	}
	if IsProgress(line) {
		l.Plain()
		return line, false
	}
	label, ok := learnPrefix(line)
	if !ok {
		return line, false
	}
	l.label = label
	rest, _ := label.Strip(line)
	return alignProgress(rest), true
}

// alignProgress takes the blanks away that a prefix has behind it, from a progress line.
func alignProgress(line []byte) []byte {
	for n := 0; n <= MaxIndent && n < len(line); n++ {
		if IsProgress(line[n:]) {
			return line[n:]
		}
		if line[n] != ' ' {
			break
		}
	}
	return line
}
