// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package events

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/nomad/nomad/structs"
)

// maxText bounds a text for Nomad, in bytes: its servers keep it.
const maxText = 4 << 10

// Plain makes one printable line of a text. Much of what Nomad is told names files, or
// what lies in them, that are the task's user's, and its command line shows it as it is.
func Plain(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, Breakable(text))
}

// maxWord is the longest word, in bytes, that fits the narrowest column of Nomad's UI where a
// text of ours stands. The UI breaks lines at spaces alone, and cuts what is wider then: the
// whole table where it is an event's, the value where it is an attribute's.
const maxWord = 40

// Breakable puts spaces into lists of CPUs that are too long for Nomad's UI, after their
// commas: "0,2,4,…,126" is such a word, on a machine whose hyper-threads are numbered one
// by one. Other words, names of files with commas among them, stay as they are.
func Breakable(text string) string {
	if len(text) <= maxWord {
		return text
	}
	words := strings.Split(text, " ")
	for i, word := range words {
		if len(word) > maxWord && strings.Trim(word, "0123456789,-()[];:.\"'") == "" {
			words[i] = strings.TrimSuffix(strings.ReplaceAll(word, ",", ", "), " ")
		}
	}
	return strings.Join(words, " ")
}

// PlainError is an error in one printable line. Joined errors have a line each.
type PlainError struct{ Err error }

func (e PlainError) Error() string { return Plain(strings.ReplaceAll(e.Err.Error(), "\n", "; ")) }

func (e PlainError) Unwrap() error { return e.Err }

// ForNomad makes an error recoverable that wraps one which is: Nomad looks at the
// outermost alone. It shows the text as it is.
func ForNomad(err error) error {
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[*structs.RecoverableError](err); ok {
		return structs.NewRecoverableError(PlainError{Err: err}, r.Recoverable)
	}
	return PlainError{Err: err}
}
