// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"testing"

	"github.com/shoenig/test/must"
)

func TestParseWords(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "200m": 200e6, "20M": 20e6, "2g": 2e9, "5457K": 5457e3} {
		got, err := ParseWords(text)
		must.NoError(t, err)
		must.Eq(t, want, got)
	}
	for _, text := range []string{"", "m", "0", "-1", "+1", "1.5m", "1 m", "10t", "9999999999999999999", "9223372036854775807k"} {
		_, err := ParseWords(text)
		must.Error(t, err, must.Sprint(text))
	}
}

// FuzzParseWords checks that a number of words is above 0, or an error.
func FuzzParseWords(f *testing.F) {
	for _, text := range []string{"200m", "5457K", "2g", "1", "-1", "9223372036854775807k", "m"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := ParseWords(text)
		must.Eq(t, err == nil, words > 0)
	})
}
