// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lines

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

const (
	progressLine = "    1302 t 1.3908E+00 dt 1.07E-03 write d3plot file            08/12/24 15:37:13"
	versionLine  = "     |  Version : smp d R14                              |"
	dateLine     = "     Date: 04/14/2026      Time: 09:00:00  "
)

func TestIsProgress(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want bool
	}{
		"a line":                        {progressLine, true},
		"no more than its numbers":      {progressLine[:ColDtEnd], true},
		"cut in its numbers":            {progressLine[:ColDtEnd-1], false},
		"empty":                         {"", false},
		"a cycle that has no room":      {"********" + progressLine[8:], true},
		"a step of the thermal solver":  {"         t 3.0000E-01 dt 1.00E-01 begin thermal step           05/18/26 14:35:47", false},
		"one column too far":            {" " + progressLine, false},
		"words in the same columns":     {"the part at which the dt is small and then", false},
		"tabs where blanks are":         {strings.ReplaceAll(progressLine, " ", "\t"), false},
		"a problem time that is no one": {"    1302 t        NaN dt 1.07E-03", true}, // its time is read by others
	} {
		must.Eq(t, c.want, IsProgress([]byte(c.line)), must.Sprint(name))
	}
	must.Eq(t, "08/12/24", progressLine[ColDate:ColDateEnd])
	must.Eq(t, "15:37:13", progressLine[ColClock:ColClockEnd])
	must.Eq(t, "1.07E-03", progressLine[ColDt:ColDtEnd])
	must.Eq(t, "1.3908E+00", progressLine[ColTime:ColTimeEnd])
	must.Eq(t, "    1302", progressLine[ColCycle:ColCycleEnd])
	must.StrHasPrefix(t, "write d3plot", progressLine[ColEvent:ColEventEnd])
}

func TestNumbered(t *testing.T) {
	for text, want := range map[string]struct {
		code  int
		class string
		ok    bool
	}{
		"40500 (SOL+500)":                     {40500, "SOL", true},
		"  10246 (STR+246) something":         {10246, "STR", true},
		"20282\r":                             {20282, "", true},
		"1 (KEY)":                             {1, "KEY", true},
		"70004 cannot open":                   {70004, "", true},
		"5 (a class without an end":           {5, "", true},
		"5 (" + strings.Repeat("x", 30) + ")": {5, "", true},
		"NaN detected on processor":           {0, "", false},
		"":                                    {0, "", false},
		"   ":                                 {0, "", false},
		"-5 (SOL+5)":                          {0, "", false},
		"1234567890 (SOL+5)":                  {0, "", false},
		"4711\x1b[2J (SOL+5)":                 {0, "", false},
		"7 (\x1b[2J+5)":                       {7, "?[2J", true},
	} {
		code, class, ok := Numbered([]byte(text))
		must.Eq(t, want.ok, ok, must.Sprintf("%q", text))
		must.Eq(t, want.code, code, must.Sprintf("%q", text))
		must.Eq(t, want.class, class, must.Sprintf("%q", text))
	}
}

// What launchers and log collectors put before each line is learnt from a line that only
// LS-DYNA prints, and taken off those behind it.
func TestLabels(t *testing.T) {
	for name, c := range map[string]struct {
		first, next, want string
		prefixed          bool
	}{
		"mpirun --tag-output":       {"[1,0]<stdout>:" + versionLine, "[1,0]<stdout>:" + progressLine, progressLine, true},
		"another rank's stderr":     {"[1,0]<stdout>:" + versionLine, "[1,12]<stderr>:forrtl: severe (174)", "forrtl: severe (174)", true},
		"srun --label":              {"0: " + dateLine, "13: " + progressLine, progressLine, true},
		"docker compose":            {"lsdyna-1  | " + versionLine, "lsdyna-1  |  " + progressLine, progressLine, true},
		"times of a collector":      {"2026-04-14T09:00:00Z " + progressLine, "2026-04-15T10:11:12Z  *** Error 40509 (SOL+509)", " *** Error 40509 (SOL+509)", true},
		"learnt from an error":      {"rank 3: *** Error 40509 (SOL+509)", "rank 3: E r r o r", "E r r o r", true},
		"learnt from the licence":   {"n1:  License option : check network license only", "n1: x", "x", true},
		"a line without the label":  {"[1,0]<stdout>:" + versionLine, "mpirun: killing job...", "mpirun: killing job...", false},
		"none":                      {versionLine, progressLine, progressLine, false},
		"none, after progress":      {progressLine, "[1,0]<stdout>:" + progressLine, "[1,0]<stdout>:" + progressLine, false},
		"a sentence about an error": {"see *** Error 40509 in the log", "see this", "see this", false},
		"far too long a label":      {strings.Repeat("x", maxPrefix+1) + versionLine, strings.Repeat("x", maxPrefix+1) + "y", strings.Repeat("x", maxPrefix+1) + "y", false},
		"blanks alone":              {"    " + dateLine, "    x", "    x", false},
		"a date without a time":     {"made Date: 04/14/2026 by me, at night", "made x", "made x", false},
		"a date at the line's end":  {"x Date: 04/14/2026 Time:", "x y", "x y", false},
	} {
		t.Run(name, func(t *testing.T) {
			var l Labels
			must.False(t, l.None())
			_, _ = l.Strip([]byte(c.first))
			got, prefixed := l.Strip([]byte(c.next))
			if !IsProgress([]byte(c.want)) { // blanks behind a label belong to no column
				got = bytes.TrimLeft(got, " ")
			}
			must.Eq(t, strings.TrimLeft(c.want, " "), strings.TrimLeft(string(got), " "))
			must.Eq(t, IsProgress([]byte(c.want)), IsProgress(got))
			must.Eq(t, c.prefixed, prefixed)
		})
	}
}

// Lines that are known to have no label are not looked at for one.
func TestLabels_None(t *testing.T) {
	var plain, labelled Labels
	plain.Plain()
	must.True(t, plain.None())
	_, prefixed := plain.Strip([]byte("[1,0]<stdout>:" + versionLine))
	must.False(t, prefixed)
	_, prefixed = labelled.Strip([]byte("[1,0]<stdout>:" + versionLine))
	must.True(t, prefixed)
	labelled.Plain() // a line without it between those that have it
	must.False(t, labelled.None())
	_, prefixed = labelled.Strip([]byte("[1,0]<stdout>:" + progressLine))
	must.True(t, prefixed)
}

func TestAsksModes(t *testing.T) {
	for text, want := range map[string]bool{
		"Eigenvalue analysis with the Lanczos solver":                    true,
		"number of eigenvalues to extract ........       12":             true,
		"number of eigenvalues to extract ........        0":             false,
		"Implicit eigenvalue analysis: number of modes requested =   20": true,
		"Implicit eigenvalue analysis: number of modes requested =    0": false,
		"eigenvalue tolerance ................... 1.0000E-06":            false,
		"eigenvalue extraction method ........... 2":                     false,
		"number of eigenvalues ... as many as there are":                 false,
		"compute 12 eigenvalues":                                         true,
		"eigenvalues 0":                                                  false,
		"a line about nothing":                                           false,
		"":                                                               false,
	} {
		must.Eq(t, want, AsksModes([]byte(text)), must.Sprint(text))
	}
}

func TestAfterEquals(t *testing.T) {
	for text, want := range map[string]float64{
		" =    3.5024E-02": 3.5024e-2, "= 1.2D+01 sec": 12, "=-1.5000-345": 0, "= 0": 0, "no sign 5": math.NaN(), "=": math.NaN(), "= NaN": math.NaN(), "= 1e999": math.NaN(),
	} {
		v, ok := AfterEquals([]byte(text))
		must.Eq(t, !math.IsNaN(want), ok, must.Sprint(text))
		if ok {
			must.Eq(t, want, v, must.Sprint(text))
		}
	}
}

// FuzzLabels: no two lines make the reader lose what it has not taken for a label.
func FuzzLabels(f *testing.F) {
	for _, first := range []string{versionLine, dateLine, progressLine, " *** Error 40509 (SOL+509)"} {
		f.Add([]byte("[1,0]<stdout>:"+first), []byte("[1,12]<stderr>:"+progressLine))
		f.Add([]byte(first), []byte("x"))
	}
	f.Fuzz(func(t *testing.T, first, next []byte) {
		var l Labels
		for _, line := range [][]byte{first, next, first} {
			rest, prefixed := l.Strip(line)
			must.True(t, bytes.HasSuffix(line, rest))
			must.True(t, prefixed || len(rest) == len(line))
			if IsProgress(line) && l.None() {
				must.Eq(t, line, rest)
			}
		}
	})
}
