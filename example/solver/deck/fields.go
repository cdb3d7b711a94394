// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package deck

import (
	"strconv"
	"strings"
)

// Field widths of the standard format, in columns. In the long format every
// field is 20 columns wide.
var (
	tens  = []int{10, 10, 10, 10, 10, 10, 10, 10}
	eight = []int{8, 8, 8, 8, 8, 8, 8, 8, 8, 8}
	node  = []int{8, 16, 16, 16, 8, 8}
	mass  = []int{8, 8, 16, 8}
)

const longField = 20

// split cuts a card into its fields: at commas where there are any, else in
// fixed columns.
func (r *reader) split(line string, widths []int) []string {
	fields := make([]string, 0, len(widths))
	if strings.Contains(line, ",") {
		for f := range strings.SplitSeq(line, ",") {
			fields = append(fields, strings.TrimSpace(f))
		}
		return fields
	}
	for _, w := range widths {
		if r.long {
			w = longField
		}
		if w >= len(line) {
			return append(fields, strings.TrimSpace(line))
		}
		fields = append(fields, strings.TrimSpace(line[:w]))
		line = line[w:]
	}
	return fields
}

// fields are a card's fields with their values on demand; a missing or blank
// field is zero, as in LS-DYNA.
type fields struct {
	r *reader
	f []string
}

func (r *reader) fields(line string, widths []int) fields {
	return fields{r, r.split(line, widths)}
}

func (f fields) text(i int) string {
	if i >= len(f.f) {
		return ""
	}
	return f.f[i]
}

func (f fields) float(i int) float64 {
	s := f.text(i)
	if s == "" {
		return 0
	}
	v, ok := f.r.value(s)
	if !ok {
		f.r.fail(9, "error reading a number in keyword *%s\nfield %d holds: %s", f.r.keyword, i+1, s)
	}
	return v
}

func (f fields) int(i int) int { return int(f.float(i)) }

// value is a number or a parameter (&name, -&name).
func (r *reader) value(s string) (float64, bool) {
	sign := 1.0
	if rest, ok := strings.CutPrefix(s, "-&"); ok {
		sign, s = -1, "&"+rest
	}
	if name, ok := strings.CutPrefix(s, "&"); ok {
		v, known := r.params[strings.ToLower(strings.TrimSpace(name))]
		return sign * v, known
	}
	return number(s)
}

// number reads a Fortran number: 1.5, 1.5d3, 1.5-3 (an exponent without its
// letter).
func number(s string) (float64, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	s = strings.Replace(s, "d", "e", 1)
	if i := strings.LastIndexAny(s, "+-"); i > 0 && s[i-1] != 'e' {
		s = s[:i] + "e" + s[i:]
	}
	if strings.ContainsAny(s, "xpn_") { // Go also reads hexadecimal, inf, nan, 1_0
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}
