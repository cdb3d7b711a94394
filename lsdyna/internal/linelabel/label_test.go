// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package linelabel

import (
	"testing"

	"github.com/shoenig/test/must"
)

func TestLabel_Strip(t *testing.T) {
	for name, c := range map[string]struct {
		label, line, rest string
		ok                bool
	}{
		"the same":           {"[1,0]<stdout>:", "[1,0]<stdout>: text", " text", true},
		"other digits":       {"[1,0]<stdout>:", "[1,137]<stdout>:text", "text", true},
		"the other stream":   {"[1,0]<stdout>:", "[1,0]<stderr>:text", "text", true},
		"other blanks":       {"lsdyna-1  |", "lsdyna-12 | text", " text", true},
		"a line without one": {"0: ", " text", " text", false},
		"a short line":       {"lsdyna-1  |", "lsd", "lsd", false},
	} {
		t.Run(name, func(t *testing.T) {
			rest, ok := Label(c.label).Strip([]byte(c.line))
			must.Eq(t, c.ok, ok)
			must.Eq(t, c.rest, string(rest))
		})
	}
}
