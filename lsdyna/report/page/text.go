// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package page

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxText bounds any text of a page, in bytes, and maxLong those that tell most.
const (
	maxText = 400
	maxLong = 2000
)

// clean makes one printable line of a text, cut at so many bytes. What changes the
// direction of writing is not printable.
func clean(text string, limit int) string {
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, text))
}

// number writes a quantity with four digits.
func number(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case v == 0:
		return "0"
	case math.Abs(v) >= 1e5 || math.Abs(v) < 1e-3:
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', 3, 64), "e")
		n, _ := strconv.Atoi(exponent)
		return minus(fmt.Sprintf("%se%d", mantissa, n))
	}
	return minus(strconv.FormatFloat(v, 'g', 4, 64))
}

func minus(s string) string {
	if strings.HasPrefix(s, "-") {
		return "−" + s[1:]
	}
	return s
}

// count writes an integer with thin spaces between thousands.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	var parts []string
	for len(s) > 3 && s[len(s)-4] != '-' {
		parts = append([]string{s[len(s)-3:]}, parts...)
		s = s[:len(s)-3]
	}
	return strings.Join(append([]string{s}, parts...), "\u202f")
}

// duration writes seconds in at most two units.
func duration(seconds float64) string {
	const minute, hour, day = 60, 3600, 86400
	n := int64(math.Round(min(max(seconds, 0), 1e12)))
	switch {
	case n < minute:
		return fmt.Sprintf("%d s", n)
	case n < hour:
		return fmt.Sprintf("%d min %02d s", n/minute, n%minute)
	case n < 2*day:
		return fmt.Sprintf("%d h %02d min", n/hour, n%hour/minute)
	}
	return fmt.Sprintf("%d d %02d h", n/day, n%day/hour)
}

// size writes bytes.
func size(n int64) string {
	const step = 1000
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB", "PB"} {
		if v /= step; v < 999.5 {
			if v < 9.95 {
				return fmt.Sprintf("%.1f %s", v, unit)
			}
			return fmt.Sprintf("%.0f %s", v, unit)
		}
	}
	return fmt.Sprintf("%.0f EB", v/step)
}

// solverTime writes a time of the solver's clock, whose zone is not known.
func solverTime(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// localTime writes a time of this machine's clock.
func localTime(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format("2006-01-02 15:04:05 MST")
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return count(n) + " " + what + "s"
}
