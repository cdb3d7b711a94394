// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package manual

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

var page = Command{Name: "cut", Summary: "cut things", Help: `USAGE
  x cut [-how fine|coarse] [-o FILE] [-from, -to N] [-all] DIR

DESCRIPTION
  Cuts it's things.
  .Not a macro, nor \fBbold\fR:

    as   it is

OPTIONS
  -how MODE       How: with care. And more.
  -o FILE  Write
           there.
  -from, -to N
           Of -all.
  -all            All of them.

ENVIRONMENT
  NO_CUT  Nothing.
  NO_CUT_A, NO_CUT_B
          Not here.
`}

func TestOptions_areThoseOfThePage(t *testing.T) {
	must.Eq(t, fmt.Sprintf("%q", []option{
		{[]string{"-how"}, "MODE", "How: with care. And more."},
		{[]string{"-o"}, "FILE", "Write there."},
		{[]string{"-from", "-to"}, "N", "Of -all."},
		{[]string{"-all"}, "", "All of them."},
	}), fmt.Sprintf("%q", page.options()))
	must.Eq(t, []string{"-all", "-from", "-h", "-how", "-o", "-to"}, page.optionNames())
	must.Eq(t, "How: with care", page.options()[0].brief())
	must.Eq(t, "All of them", page.options()[3].brief())
	long := option{text: strings.Repeat("word ", 20)}
	must.Eq(t, strings.Repeat("word ", 14)+"...", long.brief())
}

func TestOf_findsWhatAnOptionTakes(t *testing.T) {
	is := func(want, got value) {
		t.Helper()
		must.Eq(t, want.kind, got.kind)
		must.Eq(t, want.words, got.words)
	}
	is(value{oneOf, []string{"fine", "coarse"}}, page.of("-how", "MODE"))
	is(value{kind: aFile}, page.of("-o", "FILE"))
	is(value{kind: nothing}, page.of("-to", "N"))
	is(value{kind: aDir}, page.argument(nil))
	is(value{oneOf, []string{"cut", "help"}}, Command{Help: "USAGE\n  x help [COMMAND]\n"}.argument([]string{"cut", "help"}))
	is(value{oneOf, []string{"bash", "zsh"}}, Command{Help: "USAGE\n  x completion bash|zsh\n"}.argument(nil))
	is(value{kind: nothing}, Command{Help: "USAGE\n  x plan [-smt isolate|share]\n\nOPTIONS\n  -smt MODE  Siblings.\n"}.argument(nil))
}

func TestMan_textIsNoMacro(t *testing.T) {
	text := Program{Name: "x", Summary: "does", Commands: []Command{page}}.Man()
	must.StrContains(t, text, ".SS \"Description\"\nCuts it's things.\n\\&.Not a macro, nor \\efBbold\\efR:\n.P\n.nf\n  as   it is\n.fi\n")
	must.StrContains(t, text, ".TP\n\\fB\\-from, \\-to\\fR \\fIN\\fR\nOf \\-all.\n")
	must.StrContains(t, text, ".TP\n\\fBNO_CUT\\fR\nNothing.\n.TP\n\\fBNO_CUT_A, NO_CUT_B\\fR\nNot here.\n")
}
