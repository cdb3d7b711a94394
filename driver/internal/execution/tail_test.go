// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package execution

import (
	"testing"

	"github.com/shoenig/test/must"
)

func TestTail_KeepsTheLastBytes(t *testing.T) {
	for _, c := range []struct {
		writes []string
		want   string
	}{
		{nil, ""},
		{[]string{"abc"}, "abc"},
		{[]string{"abcd"}, "abcd"},
		{[]string{"abcde"}, "bcde"},
		{[]string{"abc", "de"}, "bcde"},
		{[]string{"ab", "", "cd", "e"}, "bcde"},
		{[]string{"abc", "defghijkl"}, "ijkl"},
		{[]string{"abcdefgh", "ij"}, "ghij"},
	} {
		tail := newTail(4)
		for _, text := range c.writes {
			n, err := tail.Write([]byte(text))
			must.NoError(t, err)
			must.Eq(t, len(text), n)
		}
		must.Eq(t, c.want, string(tail.Bytes()), must.Sprintf("after %q", c.writes))
	}
}
