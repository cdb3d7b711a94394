// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/eta"
)

func fixtureBytes(tb testing.TB) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.*")
	must.NoError(tb, err)
	all := map[string][]byte{}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || !info.Mode().IsRegular() {
			continue
		}
		data, err := os.ReadFile(f)
		must.NoError(tb, err)
		all[f] = data
	}
	return all
}

func whole(data []byte) Facts {
	var r Reader
	_, _ = r.Write(data)
	return r.Final()
}

func TestReader_piecesDoNotMatter(t *testing.T) {
	for name, data := range fixtureBytes(t) {
		want := whole(data)
		for _, size := range []int{1, 7, 80, 81, 4096} {
			var r Reader
			for piece := data; len(piece) > 0; {
				n := min(size, len(piece))
				_, _ = r.Write(piece[:n])
				piece = piece[n:]
			}
			must.Eq(t, want, r.Final(), must.Sprint(name, size))
		}
	}
}

func TestReader_keepsLittleOfManyWarningsAndErrors(t *testing.T) {
	var r Reader
	for i := range 100_000 {
		fmt.Fprintf(&r, " *** Warning 20282 (STR+282)\n     part %d\n\n *** Error 40509 (SOL+509)\n     negative volume %d %s\n\n", i, i, strings.Repeat("x", 700))
		fmt.Fprintf(&r, "%8d t 1.0000E-03 dt 1.07E-03 write d3dump%02d file          08/12/24 15:37:13\n", i, i%100)
	}
	f := r.Facts()
	must.Eq(t, 100_000, f.Warnings)
	must.Eq(t, 100_000, f.Errors)
	must.Len(t, maxErrors, f.FirstErrors)
	must.Len(t, maxDumps, f.Dumps)
	must.Eq(t, "d3dump99", f.Dumps[maxDumps-1].Name)
	must.Less(t, 64<<10, len(fmt.Sprintf("%+v", f)))
}

func TestReader_keepsLittleOfALineWithoutEnd(t *testing.T) {
	var r Reader
	for range 100 {
		_, _ = r.Write(bytes.Repeat([]byte("x"), 1<<20))
	}
	must.Eq(t, maxLine, len(r.partial))
	_, _ = r.Write([]byte("\n    1302 t 1.3908E+00 dt 1.07E-03 write d3plot file            08/12/24 15:37:13\n"))
	must.Eq(t, 1.3908, r.Facts().Time)
}

func TestReader_estimatorStaysBounded(t *testing.T) {
	var r Reader
	for i := range 200_000 {
		fmt.Fprintf(&r, "%8d t %.4E dt 1.07E-03 write d3plot file            08/%02d/24 %02d:%02d:%02d\n",
			i, float64(i)*1e-3, 1+i/86400, i/3600%24, i/60%60, i%60)
	}
	must.LessEq(t, eta.MaxSamples, r.facts.Rate.Len())
	must.Greater(t, eta.MaxSamples/4, r.facts.Rate.Len())
}

// FuzzReader checks that no bytes crash the reader or make it keep much, and that
// its facts do not depend on the pieces in which it gets them, or on being asked in
// between.
func FuzzReader(f *testing.F) {
	for _, data := range fixtureBytes(f) {
		f.Add(data[:min(len(data), 4096)], uint16(100))
		f.Add(data[max(0, len(data)-2048):], uint16(1000))
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		at := min(int(cut), len(data))
		var r Reader
		_, _ = r.Write(data[:at])
		_ = r.Final()
		_, _ = r.Write(data[at:])
		want := whole(data)
		must.Eq(t, want, r.Final())
		must.LessEq(t, maxLine, len(r.partial))
		snapshot := Combine([]Source{{Name: "x", Kind: lsdyna.KindStdout, Facts: want}})
		for _, exit := range []Exit{{}, {Known: true}, {Running: true}, {Known: true, Signal: 9}} {
			outcome := Decide(snapshot, exit)
			must.NotEq(t, "", outcome.Reason)
			must.False(t, strings.ContainsAny(outcome.Reason, "\n\r\x00"))
			if outcome.Success() {
				must.Eq(t, NormalBanner, snapshot.Banner)
				must.True(t, snapshot.TimeReached || snapshot.Eigenvalues || strings.Contains(snapshot.Termination, "cycle") || snapshot.EndCycle > 0 && snapshot.Cycle >= snapshot.EndCycle)
				must.Nil(t, snapshot.Undone)
			}
		}
		_, err := json.Marshal(NewReport(snapshot, Exit{}))
		must.NoError(t, err)
	})
}

// messagText is text like that of a long run's messag: progress lines, and few
// others.
func messagText(size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%8d t %.4E dt 1.07E-03 write d3plot file            08/%02d/24 %02d:%02d:%02d\n",
			i, float64(i)*1.07e-3, 1+i/21600%28, i/900%24, i/15%60, i*4%60)
		if i%1000 == 0 {
			b.WriteString(" *** Warning 40540 (SOL+540)\n     deleting element 4711\n \n")
		}
	}
	return b.Bytes()
}

func BenchmarkReader_messag(b *testing.B) {
	text := messagText(16 << 20)
	b.SetBytes(int64(len(text)))
	begin := cpuTime(b)
	for b.Loop() {
		var r Reader
		for p := text; len(p) > 0; {
			n := min(64<<10, len(p))
			_, _ = r.Write(p[:n])
			p = p[n:]
		}
	}
	// On a busy machine wall time measures its other work, too.
	b.ReportMetric(float64(len(text))*float64(b.N)/1e6/(cpuTime(b)-begin).Seconds(), "MB/CPU-s")
}

func cpuTime(b *testing.B) time.Duration {
	var usage unix.Rusage
	must.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
