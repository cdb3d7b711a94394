// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package sanitize

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/shoenig/test/must"
)

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		"  two \t words ":             "two words",
		"a\x00b\x1bc\x7f":             "a?b?c?",
		"Fu\xdfg\xe4nger":             "Fu?g?nger",
		"Fußgänger":                   "Fußgänger",
		"a\u2028b\u0085c":             "a?b?c",
		strings.Repeat("x", 50):       strings.Repeat("x", 20),
		strings.Repeat("x", 19) + "ä": strings.Repeat("x", 19),
	} {
		must.Eq(t, want, Line([]byte(text), 20), must.Sprintf("%q", text))
	}
}

func TestHideServers(t *testing.T) {
	for text, want := range map[string]string{
		"license server lic1 refused":      "license server … refused",
		"no licence from lic1.example.org": "no licence from …",
		"the license server is down":       "the license server is down",
		"mpirun: rank 1 on node n7 exited": "mpirun: rank 1 on node n7 exited",
		"cannot reach 31010@lic1 today":    "cannot reach … today",
		"see file d3hsp.txt for more":      "see file d3hsp.txt for more",
	} {
		must.Eq(t, want, HideServers(text))
	}
}

func TestKeepFirst(t *testing.T) {
	kept := ""
	for _, text := range []string{" ", "no  licence from lic1.example.org", "another"} {
		KeepFirst(&kept, []byte(text), 100)
	}
	must.Eq(t, "no licence from …", kept)
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("  two \t words "), 20)
	f.Add([]byte("Fu\xdfg\xe4nger \u2028"), 7)
	f.Fuzz(func(t *testing.T, text []byte, limit int) {
		limit = max(0, min(limit, 1000))
		line := Line(text, limit)
		must.True(t, utf8.ValidString(line))
		must.LessEq(t, limit, len(line))
		must.False(t, strings.ContainsFunc(line, unicode.IsControl))
	})
}

// The beginning of a server's name at the end of what is kept names the server.
func TestPublic_aNameAcrossTheCutIsHidden(t *testing.T) {
	const limit = 60
	for _, name := range []string{"31010@lic1.example.org", "lic1.example.org"} {
		for before := range limit + 5 {
			text := "license server " + strings.Repeat("x", before) + " " + name + " does not answer"
			got := Public([]byte(text), limit)
			must.False(t, strings.Contains(got, "lic1"), must.Sprintf("%q", got))
			must.LessEq(t, limit, len(got))
		}
	}
	many := strings.Repeat("7788@h ", 45) + "7788@lic1 " + strings.Repeat("x", limit)
	for cut := range 40 {
		got := Public([]byte("license "+strings.Repeat("y", cut)+" "+many), limit)
		must.False(t, strings.Contains(got, "lic1"), must.Sprintf("%q", got))
		must.False(t, strings.Contains(got, "7788"), must.Sprintf("%q", got))
	}
	must.Eq(t, "all is well", Public([]byte("all  is well"), limit))
}
