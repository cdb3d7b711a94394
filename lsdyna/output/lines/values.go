// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lines

import (
	"bytes"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/fortran"
)

// AsksModes reports whether a line says that the run computes eigenvalues. The echo of
// the input tells how many, which is 0 where it computes none, and other settings about
// them, which say nothing.
func AsksModes(text []byte) bool {
	at := bytes.Index(text, []byte("igenvalue"))
	if at < 0 {
		return false
	}
	value := max(bytes.LastIndexByte(text, '='), bytes.LastIndex(text, []byte(".."))+1)
	if value > at {
		n, ok := fortran.Integer(bytes.TrimSpace(text[value+1:]))
		return ok && n > 0 && bytes.Contains(bytes.ToLower(text[:value]), []byte("number"))
	}
	n, found := fortran.FirstInteger(text[at:])
	return !found || n > 0
}

// AfterEquals reads the number behind the first equals sign of a text.
func AfterEquals(b []byte) (float64, bool) {
	_, value, ok := bytes.Cut(b, []byte("="))
	if !ok {
		return 0, false
	}
	value, _, _ = bytes.Cut(bytes.TrimSpace(value), []byte(" "))
	return fortran.Float(value)
}
