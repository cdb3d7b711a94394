// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package fortran

import (
	"testing"

	"github.com/shoenig/test/must"
)

func TestFloat(t *testing.T) {
	for text, want := range map[string]float64{
		"1.2000E+02": 120, " 0.3500E-01": 0.035, "-1.5000-345": 0, "1.5000-103": 1.5e-103, "1.5000+103": 1.5e103, "1.0D+00": 1,
		"120": 120, "-2.5": -2.5, "1.3908E+00": 1.3908, "3.5024E-02": 3.5024e-2, ".5": .5, "5.": 5, "1e22": 1e22,
	} {
		got, ok := Float([]byte(text))
		must.True(t, ok, must.Sprint(text))
		must.Eq(t, want, got+0, must.Sprint(text))
	}
	for _, text := range []string{"", " ", "E+02", "1.2E", "1.2E+", "abc", "1.2.3", "********", "NaN", "Infinity", "9.9+999", "1.2E+12345"} {
		_, ok := Float([]byte(text))
		must.False(t, ok, must.Sprint(text))
	}
}

func TestFirstInteger(t *testing.T) {
	for text, want := range map[string]int64{":    3": 3, "7": 7, "a 12 b 13": 12, "of-5": 5} {
		got, ok := FirstInteger([]byte(text))
		must.True(t, ok, must.Sprint(text))
		must.Eq(t, want, got, must.Sprint(text))
	}
	for _, text := range []string{"", "none", "1234567890123456789"} {
		_, ok := FirstInteger([]byte(text))
		must.False(t, ok, must.Sprint(text))
	}
}

// E10 is a faster Float for one form of a number.
func FuzzE10(f *testing.F) {
	for _, text := range []string{"1.3908E+00", "0.0000E+00", "1.0700E-03", "1.5000-345", "9.9999E+19", "9.9999E-19", "-1.000E+00", " 1.00E+00 ", "1.2000D+02"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, column []byte) {
		if len(column) != 10 {
			t.Skip("no column of ten bytes")
		}
		got, ok := E10(column)
		want, wantOK := Float(column)
		must.Eq(t, wantOK, ok)
		must.Eq(t, want, got)
	})
}

func TestInteger(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "      17": 17, "54773890": 54773890, "123456789012345678": 123456789012345678} {
		got, ok := Integer([]byte(text))
		must.True(t, ok, must.Sprint(text))
		must.Eq(t, want, got, must.Sprint(text))
	}
	for _, text := range []string{"", "   ", "********", "-1", "+1", "1 2", "1.0", "1234567890123456789"} {
		_, ok := Integer([]byte(text))
		must.False(t, ok, must.Sprint(text))
	}
}
