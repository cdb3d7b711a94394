// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// fixture is a file of testdata.
func fixture(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	must.NoError(tb, err)
	return data
}

// Up to R10, and again in R12.0, the version line holds the date of the build
// and the revision is a number of Subversion; later the revision is more exact
// than the version.
func TestReader_headerOfEveryRelease(t *testing.T) {
	for _, c := range []struct {
		version, revision string
		want              string
		parallel          lsdyna.Parallel
		precision         lsdyna.Precision
	}{
		{"smp s R6.1.1    Date: 01/02/2013     |", "78769           Time: 07:43:30       |", "R6.1.1", lsdyna.SMP, lsdyna.Single},
		{"mpp d R7.1.2    Date: 01/07/2015     |", "95103           Time: 10:23:13       |", "R7.1.2", lsdyna.MPP, lsdyna.Double},
		{"smp d R8.1.0    Date: 02/09/2016     |", "105896          Time: 10:23:13       |", "R8.1.0", lsdyna.SMP, lsdyna.Double},
		{"hyb s R9.3.1    Date: 09/24/2019     |", "140922          Time: 08:43:37       |", "R9.3.1", lsdyna.Hybrid, lsdyna.Single},
		{"mpp s R10.1.0   Date: 02/07/2018     |", "123264          Time: 08:43:37       |", "R10.1.0", lsdyna.MPP, lsdyna.Single},
		{"smp d R11                            |", "R11.1-205-geb5348f751              |", "R11.1", lsdyna.SMP, lsdyna.Double},
		{"smp d R12.0.0   Date: 07/08/2020     |", "148978          Time: 08:43:37       |", "R12.0.0", lsdyna.SMP, lsdyna.Double},
		{"smp s R12                              |", "R12.2-86-g831c51f1f6                   |", "R12.2", lsdyna.SMP, lsdyna.Single},
		{"mpp d R13                              |", "R13.1.1-27-g8731a0d8c5                 |", "R13.1.1", lsdyna.MPP, lsdyna.Double},
		{"smp d R14                              |", "R14.0-515-g8a12796b62                  |", "R14.0", lsdyna.SMP, lsdyna.Double},
		{"hybrid d R15                           |", "R15.0.2-0-g0123456789                  |", "R15.0.2", lsdyna.Hybrid, lsdyna.Double},
		{"mpp s R16                              |", "R16.1.0-2-gabcdef0123                  |", "R16.1.0", lsdyna.MPP, lsdyna.Single},
	} {
		text := fmt.Sprintf("      Date: 02/19/2024      Time: 20:00:30  \n     |  Version : %s\n     |  Revision: %s\n", c.version, c.revision)
		f := whole([]byte(text))
		must.Eq(t, c.want, f.Version)
		must.Eq(t, c.parallel, f.Parallel, must.Sprint(c.version))
		must.Eq(t, c.precision, f.Precision, must.Sprint(c.version))
		must.Eq(t, strings.Fields(c.revision)[0], f.Revision)
		must.Eq(t, time.Date(2024, 2, 19, 20, 0, 30, 0, time.UTC), f.Started)
	}
}

// encodings are ways in which the same text may be stored. The facts must be the
// same.
var encodings = map[string]func([]byte) []byte{
	"CRLF":            func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) },
	"LS-OPT's prefix": func(b []byte) []byte { return prefixLines(b, "[STDOUT] ") },
	"LS-OPT and CRLF": func(b []byte) []byte {
		return bytes.ReplaceAll(prefixLines(b, "[STDOUT] "), []byte("\n"), []byte("\r\n"))
	},
	"NUL bytes before lines": func(b []byte) []byte { return prefixLines(b, "\x00\x00\x00") },
	"NUL bytes at the end":   func(b []byte) []byte { return append(bytes.Clone(b), make([]byte, 10_000)...) },
	"Latin-1 titles between": func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte("\n\n"), []byte("\n\n Fu\xdfg\xe4ngerschutz \xe9tude\n\n"))
	},
	"UTF-16 of PowerShell":         func(b []byte) []byte { return append([]byte{0xff, 0xfe}, wide(b, 0)...) },
	"UTF-16 without its mark":      func(b []byte) []byte { return wide(b, 0) },
	"UTF-16, the other byte first": func(b []byte) []byte { return append([]byte{0xfe, 0xff}, wide(b, 1)...) },
	"the other, without its mark":  func(b []byte) []byte { return wide(b, 1) },
	"UTF-16 with CRLF":             func(b []byte) []byte { return wide(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")), 0) },
	"UTF-8 with its mark":          func(b []byte) []byte { return append([]byte("\xef\xbb\xbf"), b...) },
	"docker compose":               func(b []byte) []byte { return prefixLines(b, "solver-1  | ") },
	"Open MPI's tag":               func(b []byte) []byte { return prefixLines(b, "[1,0]<stdout>:") },
	"Open MPI 5's tag":             func(b []byte) []byte { return prefixLines(b, "[prterun-fe12-77@1,0]<stdout>: ") },
	"srun's label":                 func(b []byte) []byte { return prefixLines(b, "0: ") },
	"srun's label, of many ranks":  func(b []byte) []byte { return prefixLines(b, "  7: ") },
	"Hydra's rank":                 func(b []byte) []byte { return prefixLines(b, "[0] ") },
	"a time":                       func(b []byte) []byte { return prefixTimes(b, "2024-03-0%d06:%02d:%02d.000000001Z ") },
	"a log of the system":          func(b []byte) []byte { return prefixTimes(b, "Mar 0%d 06:%02d:%02d fe12 ls-dyna[42]: ") },
	"a label, CRLF": func(b []byte) []byte {
		return bytes.ReplaceAll(prefixLines(b, "solver-1  | "), []byte("\n"), []byte("\r\n"))
	},
	"no last line end": func(b []byte) []byte { return bytes.TrimRight(b, "\n") },
}

// wide is ASCII text as UTF-16, with its NUL bytes after the others or, with 1, before.
func wide(b []byte, first int) []byte {
	out := make([]byte, 2*len(b))
	for i, c := range b {
		out[2*i+first] = c
	}
	return out
}

func prefixTimes(b []byte, format string) []byte {
	var out []byte
	i := 0
	for line := range bytes.Lines(b) {
		out = append(fmt.Appendf(out, format, 1+i/3600, i/60%60, i%60), line...)
		i++
	}
	return out
}

func prefixLines(b []byte, prefix string) []byte {
	var out []byte
	for line := range bytes.Lines(b) {
		out = append(append(out, prefix...), line...)
	}
	return out
}

func TestReader_readsTheSameInEveryEncoding(t *testing.T) {
	for _, name := range []string{"completed-smp.stdout", "completed-r6.messag", "completed-mpp.mes0000", "completed.d3hsp", "error.stdout", "stopped-sense-switch.stdout", "killed-sigterm.stdout", "cut-implicit.stdout"} {
		plain := fixture(t, name)
		want := whole(plain)
		for encoding, encode := range encodings {
			got := whole(encode(plain))
			if encoding == "Latin-1 titles between" {
				got.LastLine = want.LastLine
			}
			must.Eq(t, want, got, must.Sprint(name, ", ", encoding))
		}
	}
}

func TestReader_exponentsWithoutTheirE(t *testing.T) {
	f := whole([]byte("    1302 t 1.3908-103 dt 1.07-120 write d3plot file            08/12/24 15:37:13\n"))
	must.Eq(t, []any{true, 1.3908e-103, 1.07e-120, int64(1302)}, []any{f.HasTime, f.Time, f.Dt, f.Cycle})
	f = whole([]byte(" termination time                  = 1.200+100\n Problem time       =    3.5024-102\n"))
	must.Eq(t, []any{1.2e100, 3.5024e-102}, []any{f.EndTime, f.Time})
}

// One more progress line follows the last banner of rank 0.
func TestReader_linesAfterTheLastBannerChangeNothing(t *testing.T) {
	for _, name := range []string{"completed-smp.stdout", "completed-mpp.mes0000", "error.stdout", "stopped-kill-file.stdout"} {
		plain := fixture(t, name)
		want := whole(plain)
		late := append(bytes.Clone(plain), "   49332 t 9.9999E-01 dt 1.00E-06 flush i/o buffers            03/02/25 11:00:00\n\n some last words\n"...)
		got := whole(late)
		must.Eq(t, []any{want.Banner, want.EndBlock, want.Time, want.Phase, want.TimeReached, want.Errors},
			[]any{got.Banner, got.EndBlock, got.Time, got.Phase, got.TimeReached, got.Errors}, must.Sprint(name))
		exit := Exit{Known: true}
		must.Eq(t, verdictOn(want, exit), verdictOn(got, exit), must.Sprint(name))
	}
}

func verdictOn(f Facts, e Exit) Kind {
	return Decide(Combine([]Source{{Name: "stdout", Kind: lsdyna.KindStdout, Facts: f}}), e).Kind
}

// Of several runs in one file only the last counts, whichever way round.
func TestReader_severalRunsInOneFile(t *testing.T) {
	runs := map[string]Kind{"completed-smp.stdout": Completed, "error.stdout": Failed, "cut.stdout": Unknown, "stopped-kill-file.stdout": Stopped, "student-limit.stdout": LicenceError}
	for first := range runs {
		for last, want := range runs {
			f := whole(append(bytes.Clone(fixture(t, first)), fixture(t, last)...))
			alone := whole(fixture(t, last))
			must.Eq(t, want, verdictOn(f, Exit{Known: true}), must.Sprintf("%s, then %s", first, last))
			must.Eq(t, 2, f.Runs)
			f.Runs = alone.Runs
			must.Eq(t, alone, f, must.Sprintf("%s, then %s", first, last))
		}
	}
}

func TestReader_elapsedTimeInEveryForm(t *testing.T) {
	type elapsed struct {
		seconds  int64
		parallel lsdyna.Parallel
	}
	for line, want := range map[string]elapsed{
		" Elapsed time       0 second  for     576 cycles using  2 SMP threads":          {0, lsdyna.SMP},
		" Elapsed time       1 second  for     576 cycles using  2 SMP threads":          {1, lsdyna.SMP},
		" Elapsed time  340000 seconds for54773890 cycles using  8 SMP threads":          {340000, lsdyna.SMP},
		" Elapsed time     266 seconds for   49331 cycles using     4 MPP procs":         {266, lsdyna.MPP},
		" Elapsed time    4592 seconds(   1 hours  16 min.  32 sec.) for   16386 cycles": {4592, ""},
	} {
		f := whole([]byte(line + "\n"))
		must.True(t, f.HasElapsed, must.Sprint(line))
		must.Eq(t, want, elapsed{f.ElapsedSeconds, f.Parallel}, must.Sprint(line))
	}
}

func TestReader_whatLooksLikeAnErrorAndIsNone(t *testing.T) {
	for _, line := range []string{
		" *** Note 20101 (STR+101)", " *** S.P.H. *** neighbours", " ****************************", " *** Error", " *** Error in words only",
		" *** Warning", " *** Error termination is not an error", " Error 40500 (SOL+500)",
	} {
		f := whole([]byte(line + "\n     indented text\n\n"))
		must.Eq(t, 0, f.Errors+f.Warnings, must.Sprint(line))
		must.SliceEmpty(t, f.FirstErrors)
	}
}
