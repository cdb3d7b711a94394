// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package screen

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

func TestTable_dropsColumnsAndThenShortensNames(t *testing.T) {
	tab := Table{
		Columns: []Column{{Title: "JOB", Keep: true, Least: 8}, {Title: "N", Right: true}, {Title: "LONG TITLE", Rank: 1}},
		Rows: [][]Line{
			{Text("dispatch/17000000-0a1b2c3d"), Text("7"), Text("x")},
			{Text("short"), Text("12"), Text("y")},
		},
	}
	render := func(width int) string { return Screen{}.Render(tab.Fit(width)) }
	must.Eq(t, "JOB                          N  LONG TITLE\n"+
		"dispatch/17000000-0a1b2c3d   7  x\n"+
		"short                       12  y\n", render(60))
	must.Eq(t, "JOB                       LONG TITLE\n"+
		"dispatch/17..00-0a1b2c3d  x\n"+
		"short                     y\n", render(36))
	must.Eq(t, "JOB\ndispat..1b2c3d\nshort\n", render(14))
}

func TestDuration_usesTwoUnits(t *testing.T) {
	for seconds, want := range map[float64]string{
		0: "0s", 59.4: "59s", 60: "1m00s", 3599: "59m59s", 3600: "1h00m", 90000: "1d01h", 8640000: "100d00h",
	} {
		must.Eq(t, want, Seconds(&seconds))
	}
}

func TestClean_takesOutWhatSteersATerminal(t *testing.T) {
	must.Eq(t, "a?[2Jb c?d ü", Clean("a\x1b[2Jb\nc\x9bd ü"))
}

func FuzzWrap_keepsWordsAndWidth(f *testing.F) {
	f.Add("the quick brown fox", 8, 2)
	f.Add("0-1,4-5,8-9,12-13,16-17,20-21,24-25,28-29", 20, 4)
	f.Fuzz(func(t *testing.T, words string, width, indent int) {
		width, indent = MinWidth+abs(width)%100, abs(indent)%8
		words = Clean(words)
		var back strings.Builder
		for _, l := range Wrap(words, width, indent) {
			must.LessEq(t, width, l.Width())
			for _, s := range l {
				back.WriteString(s.Text)
			}
		}
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		must.Eq(t, squeeze(words), squeeze(back.String()))
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}
