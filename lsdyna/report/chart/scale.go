// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package chart

import (
	"math"
	"strconv"
	"strings"
)

// Axis says what an axis shows.
type Axis struct {
	Label   string
	Seconds bool // the values are seconds: they are shown in the unit that fits
	Percent bool // the values are per cent
	Zero    bool // the axis contains zero
	Log     bool // decades, where values are above zero and differ by more than logFrom
}

// Tick is a mark on an axis.
type Tick struct {
	At   float64 // in the viewBox
	Text string
}

// logFrom is the ratio of the largest to the smallest value from which an axis that may
// have decades has them.
const logFrom = 50

// scale maps values of an axis to the viewBox.
type scale struct {
	low, high float64 // values at the ends
	from, to  float64 // in the viewBox
	log       bool
	factor    float64 // values are shown divided by it
	step      float64 // between ticks; of decades where log
	label     string
}

// newScale makes a scale for values between low and high, which are finite.
func newScale(a Axis, low, high, from, to float64, ticks int) scale {
	s := scale{from: from, to: to, factor: 1, label: a.Label}
	if a.Log && low > 0 && high/low > logFrom {
		s.log = true
		s.low, s.high = math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
		s.step = math.Max(1, math.Ceil((s.high-s.low)/float64(ticks)))
		return s
	}
	if a.Zero {
		low, high = math.Min(low, 0), math.Max(high, 0)
	}
	if !(high > low) || (high-low) < 1e-9*math.Max(math.Abs(low), math.Abs(high)) {
		// One value: it is drawn in the middle.
		room := math.Abs(low) / 2
		if room == 0 {
			room = 1
		}
		low, high = low-room, high+room
	}
	s.chooseUnit(a, low, high)
	s.step = niceStep((high-low)/s.factor, ticks) * s.factor
	s.low, s.high = math.Floor(low/s.step+1e-9)*s.step, math.Ceil(high/s.step-1e-9)*s.step
	return s
}

// chooseUnit finds by what values are divided, and says so in the label.
func (s *scale) chooseUnit(a Axis, low, high float64) {
	most := math.Max(math.Abs(low), math.Abs(high))
	switch {
	case a.Seconds:
		s.factor = 1
		unit := "s"
		for _, u := range []struct {
			name    string
			seconds float64
			from    float64
		}{{"min", 60, 180}, {"h", 3600, 3 * 3600}, {"days", 86400, 4 * 86400}} {
			if most >= u.from {
				unit, s.factor = u.name, u.seconds
			}
		}
		s.label += " (" + unit + ")"
	case a.Percent:
		s.label += " (%)"
	case most >= 1e5 || most < 1e-2:
		exponent := int(math.Floor(math.Log10(most)/3)) * 3
		s.factor = math.Pow10(exponent)
		s.label += " × 10" + superscript(exponent)
	}
}

// niceStep is a step of 1, 2 or 5 times a power of ten that divides a span into no more
// than so many parts.
func niceStep(span float64, parts int) float64 {
	raw := span / float64(parts)
	power := math.Pow10(int(math.Floor(math.Log10(raw))))
	for _, nice := range []float64{1, 2, 5} {
		if nice*power >= raw*(1-1e-9) {
			return nice * power
		}
	}
	return 10 * power
}

// at is where a value is drawn.
func (s scale) at(v float64) float64 {
	if s.log {
		v = math.Log10(v)
	}
	return s.from + (v-s.low)/(s.high-s.low)*(s.to-s.from)
}

// within reports whether a value is between the ends of the axis.
func (s scale) within(v float64) bool {
	if !s.has(v) {
		return false
	}
	if s.log {
		v = math.Log10(v)
	}
	slack := (s.high - s.low) / 1e6
	return v >= s.low-slack && v <= s.high+slack
}

// has reports whether a value can be drawn.
func (s scale) has(v float64) bool {
	return !math.IsNaN(v) && !math.IsInf(v, 0) && (!s.log || v > 0)
}

func (s scale) ticks() []Tick {
	var ticks []Tick
	n := int(math.Round((s.high - s.low) / s.step))
	for i := 0; i <= n && i <= 2*maxTicks; i++ {
		v := s.low + float64(i)*s.step
		at := s.from + (v-s.low)/(s.high-s.low)*(s.to-s.from)
		if s.log {
			ticks = append(ticks, Tick{at, "10" + superscript(int(v))})
			continue
		}
		ticks = append(ticks, Tick{at, number(v/s.factor, s.step/s.factor)})
	}
	return ticks
}

// Values that are written without an exponent, and the digits of those that are not.
const (
	leastPlain, mostPlain = 1e-9, 1e15
	mostDigits            = 15
)

// number writes a tick's value with the decimals that its step needs.
func number(v, step float64) string {
	if size := math.Abs(v); size >= mostPlain || size > 0 && step < leastPlain {
		digits := 2
		if size > step {
			digits += min(int(math.Log10(size/step)), mostDigits)
		}
		return strings.ReplaceAll(strconv.FormatFloat(v, 'g', digits, 64), "-", "−")
	}
	decimals := max(0, int(-math.Floor(math.Log10(step)+1e-9)))
	text := strconv.FormatFloat(v, 'f', min(decimals, 12), 64)
	if strings.Trim(text, "-0.") == "" {
		return "0"
	}
	return strings.Replace(text, "-", "−", 1)
}

// superscript writes an exponent.
func superscript(n int) string {
	digits := []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")
	var b strings.Builder
	for _, c := range strconv.Itoa(n) {
		if c == '-' {
			b.WriteRune('⁻')
			continue
		}
		b.WriteRune(digits[c-'0'])
	}
	return b.String()
}
