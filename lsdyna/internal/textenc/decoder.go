// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package textenc turns the encodings in which outputs are stored into UTF-8.
package textenc

import "unicode/utf8"

// encoding is how the characters of a file are stored.
type encoding int

const (
	undecided encoding = iota // fewer than two bytes have come
	single                    // one byte each, or UTF-8
	utf16le                   // as PowerShell writes what a program prints
	utf16be
)

// Decoder turns UTF-16 into UTF-8. Any other text goes through as it is.
type Decoder struct {
	is   encoding
	half []byte // the beginning that does not decide yet, or the first byte of a character
	text []byte // the buffer of what was decoded last
}

// decide looks at the first bytes: a byte order mark, or a NUL in every other byte, as
// text has that is appended without a mark. It needs four, unless two of them cannot
// begin UTF-16.
func decide(b []byte) encoding {
	switch {
	case len(b) < 2:
		return undecided
	case b[0] == 0xff && b[1] == 0xfe:
		return utf16le
	case b[0] == 0xfe && b[1] == 0xff:
		return utf16be
	case (b[0] == 0) == (b[1] == 0):
		return single
	case len(b) < 4:
		return undecided
	case b[1] == 0 && b[3] == 0 && b[2] != 0:
		return utf16le
	case b[0] == 0 && b[2] == 0 && b[3] != 0:
		return utf16be
	}
	return single
}

// Decode returns the next text. It is valid until the next call.
func (d *Decoder) Decode(p []byte) []byte {
	if d.is == undecided {
		d.half = append(d.half, p...)
		if d.is = decide(d.half); d.is == undecided {
			return nil
		}
		p, d.half = d.half, nil
		if d.is != single && p[0]|p[1] == 0xff { // the byte order mark
			p = p[2:]
		}
	}
	if d.is == single {
		return p
	}
	d.text = d.text[:0]
	for len(p) > 0 {
		if len(d.half) == 1 {
			d.character(d.half[0], p[0])
			d.half, p = d.half[:0], p[1:]
			continue
		}
		if len(p) == 1 {
			d.half = append(d.half[:0], p[0])
			break
		}
		d.character(p[0], p[1])
		p = p[2:]
	}
	return d.text
}

// character takes two bytes. A pair of surrogates becomes two marks of what cannot be
// shown: no word that matters has one.
func (d *Decoder) character(a, b byte) {
	if d.is == utf16be {
		a, b = b, a
	}
	d.text = utf8.AppendRune(d.text, rune(b)<<8|rune(a))
}

// Rest is the text that is left when nothing more will come.
func (d *Decoder) Rest() []byte {
	if d.is == undecided {
		return d.half
	}
	return nil
}
