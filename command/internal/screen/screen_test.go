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

// Wide characters take two columns, combining ones none.
func TestTable_keepsItsColumnsWithAnyCharacters(t *testing.T) {
	tab := Table{
		Columns: []Column{{Title: "JOB", Keep: true, Least: 8}, {Title: "N", Right: true, Keep: true}},
		Rows: [][]Line{
			{Text("衝突解析"), Text("7")},
			{Text("ラーメン構造の落下試験2026"), Text("12")},
			{Text("cafe\u0301"), Text("3")},
			{Text("door🚗"), Text("十")},
			{Text("plain"), Text("4")},
		},
	}
	render := func(width int) string { return Screen{}.Render(tab.Fit(width)) }
	must.Eq(t, "JOB                          N\n"+
		"衝突解析                     7\n"+
		"ラーメン構造の落下試験2026  12\n"+
		"cafe\u0301                         3\n"+
		"door🚗                      十\n"+
		"plain                        4\n", render(60))
	must.Eq(t, "JOB            N\n"+
		"衝突解析       7\n"+
		"ラー..2026    12\n"+
		"cafe\u0301           3\n"+
		"door🚗        十\n"+
		"plain          4\n", render(16))
}

func TestCut_neverHalvesACharacter(t *testing.T) {
	for width, want := range map[int]string{0: "", 1: "a", 2: "a", 3: "a衝", 4: "a衝", 5: "a衝突", 6: "a衝突e\u0301", 9: "a衝突e\u0301"} {
		l := Line{{Text: "a衝"}, {"突e\u0301", Bold}}
		got := ""
		for _, s := range l.Cut(width) {
			got += s.Text
		}
		must.Eq(t, want, got, must.Sprint(width))
	}
}

func TestWrap_breaksBeforeWideCharactersThatDoNotFit(t *testing.T) {
	var got []string
	for _, l := range Wrap("no room for 衝突解析の結果 here", 12, 2) {
		got = append(got, l[0].Text)
		must.LessEq(t, 12, l.Width())
	}
	must.Eq(t, []string{"no room for", "  衝突解析の", "  結果 here"}, got)
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

// FuzzTable_staysWithinItsWidth for any text that Clean lets through.
func FuzzTable_staysWithinItsWidth(f *testing.F) {
	f.Add("dispatch/17000000-0a1b2c3d", "ラーメン構造の落下試験2026", 30)
	f.Add("👩‍👩‍👧 cafe\u0301", "\u0301\u0301", 2)
	f.Add("0", "\uFE0F", -80) // a variation selector
	f.Fuzz(func(t *testing.T, a, b string, width int) {
		tab := Table{
			Columns: []Column{{Title: "A", Keep: true, Least: 6}, {Title: "B", Least: 4}, {Title: "C", Right: true, Keep: true}},
			Rows:    [][]Line{{Text(Clean(a)), Text(Clean(b)), Text("1")}},
		}
		width = MinWidth + abs(width)%100
		for _, l := range tab.Fit(width) {
			must.LessEq(t, width, l.Width(), must.Sprint(l))
			must.LessEq(t, 7, l.Cut(7).Width())
		}
	})
}

func FuzzWrap_keepsWordsAndWidth(f *testing.F) {
	f.Add("the quick brown fox", 8, 2)
	f.Add("0-1,4-5,8-9,12-13,16-17,20-21,24-25,28-29", 20, 4)
	f.Add("ラーメン構造の落下試験2026 🚗 cafe\u0301 👩‍👩‍👧", 40, 7)
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
