// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package fortran

import (
	"bytes"
	"strconv"
)

// E10 reads a column of ten bytes, usually in the form 1.3908E+00. It gives what
// Float gives, faster for this form: most lines of a messag have such a column.
func E10(b []byte) (float64, bool) {
	_ = b[9]
	d := func(i int) uint64 { return uint64(b[i] - '0') }
	if b[1] != '.' || b[6] != 'E' || d(0) > 9 || d(2) > 9 || d(3) > 9 || d(4) > 9 || d(5) > 9 || d(8) > 1 || d(9) > 9 {
		return Float(b)
	}
	mantissa := float64(d(0)*10000 + d(2)*1000 + d(3)*100 + d(4)*10 + d(5))
	exponent := int(d(8)*10 + d(9))
	switch {
	case b[7] == '+' && exponent >= 4:
		return mantissa * tens[exponent-4], true
	case b[7] == '+':
		return mantissa / tens[4-exponent], true
	case b[7] == '-' && exponent+4 < len(tens):
		return mantissa / tens[exponent+4], true
	}
	return Float(b)
}

// Integer reads digits with blanks before them. "********", which Fortran prints
// where a number has no room, is no number.
func Integer(b []byte) (int64, bool) {
	i := 0
	for i < len(b) && b[i] == ' ' {
		i++
	}
	if i == len(b) || len(b)-i > 18 {
		return 0, false
	}
	var n int64
	for ; i < len(b); i++ {
		c := b[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	return n, true
}

// FirstInteger reads the first digits in a text.
func FirstInteger(b []byte) (int64, bool) {
	i := bytes.IndexAny(b, "0123456789")
	if i < 0 {
		return 0, false
	}
	end := i
	for end < len(b) && b[end]-'0' <= 9 {
		end++
	}
	return Integer(b[i:end])
}

var tens = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// Float reads a number as Fortran prints it: 1.2000E+02, 1.0D+00, 0.035, and
// -1.5000-345, since an exponent of three digits has no E. Up to 15 digits and
// exponents up to 22 the result is the nearest float64: both parts are exact, and
// the one operation on them rounds once.
func Float(b []byte) (float64, bool) {
	b = bytes.TrimSpace(b)
	i, negative := 0, false
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		negative = b[i] == '-'
		i++
	}
	var mantissa uint64
	count, fraction, point := 0, 0, false
	for ; i < len(b); i++ {
		c := b[i]
		if c == '.' && !point {
			point = true
			continue
		}
		if c -= '0'; c > 9 {
			break
		}
		mantissa = mantissa*10 + uint64(c)
		count++
		if point {
			fraction++
		}
	}
	if count == 0 || count > 18 {
		return 0, false
	}
	exponent, ok := exponent(b[i:])
	if !ok {
		return 0, false
	}
	value, ok := scale(mantissa, exponent-fraction, count)
	if negative {
		value = -value
	}
	return value, ok
}

// exponent reads E+02, D-01, e5, or +123 without a letter.
func exponent(b []byte) (int, bool) {
	if len(b) == 0 {
		return 0, true
	}
	switch b[0] {
	case 'E', 'e', 'D', 'd':
		b = b[1:]
	case '+', '-':
	default:
		return 0, false
	}
	if len(b) == 0 {
		return 0, false
	}
	negative := b[0] == '-'
	if b[0] == '-' || b[0] == '+' {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 4 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

func scale(mantissa uint64, exponent, digits int) (float64, bool) {
	switch {
	case mantissa == 0:
		return 0, true
	case digits <= 15 && exponent >= 0 && exponent < len(tens):
		return float64(mantissa) * tens[exponent], true
	case digits <= 15 && exponent < 0 && -exponent < len(tens):
		return float64(mantissa) / tens[-exponent], true
	}
	v, err := strconv.ParseFloat(strconv.FormatUint(mantissa, 10)+"e"+strconv.Itoa(exponent), 64)
	return v, err == nil
}
