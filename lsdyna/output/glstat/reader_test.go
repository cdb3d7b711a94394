// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package glstat

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// read reads a text that is all there is.
func read(t *testing.T, r *Reader, text string) *Stats {
	t.Helper()
	n, err := r.Write([]byte(text))
	must.NoError(t, err)
	must.Eq(t, len(text), n)
	return r.Stats()
}

func mustValue(t *testing.T, s *Sample, q Quantity, want float64) {
	t.Helper()
	v, ok := s.Value(q)
	must.True(t, ok, must.Sprintf("quantity %d is not known", q))
	if math.IsNaN(want) {
		must.True(t, math.IsNaN(v))
		return
	}
	must.Eq(t, want, v, must.Sprintf("quantity %d", q))
}

func mustNotKnow(t *testing.T, s *Sample, q Quantity) {
	t.Helper()
	v, ok := s.Value(q)
	must.False(t, ok, must.Sprintf("quantity %d is %v", q, v))
}

func TestReader_everyRowOfABlock(t *testing.T) {
	b := at(0.01)
	b.wall = true
	s := read(t, &Reader{}, heading+b.text())
	must.Eq(t, 1, s.Blocks)
	must.Eq(t, 0.01, s.Last.Time)
	must.Eq(t, 1001, s.Last.Cycle)
	must.Eq(t, "shell 4711 of part 12", s.Controls)
	for q, want := range map[Quantity]float64{
		Dt: 1e-5, Kinetic: 900, Internal: 100, Hourglass: 5, Sliding: -2, Total: 1005, Ratio: 1.01, RatioUneroded: 0.505, AddedMass: 0.002, AddedMassPercent: 1.5,
	} {
		mustValue(t, &s.Last, q, want)
	}
}

func TestReader_formsOfRows(t *testing.T) {
	for name, c := range map[string]struct {
		old, now string
		quantity Quantity
		want     float64
	}{
		"exponent of three digits":       {" total energy / initial energy..   1.01000E+00", " total energy / initial energy..  1.01000+120", Ratio, 1.01e120},
		"NaN":                            {" total energy / initial energy..   1.01000E+00", " total energy / initial energy..           NaN", Ratio, math.NaN()},
		"Infinity":                       {" total energy / initial energy..   1.01000E+00", " total energy / initial energy..      Infinity", Ratio, math.NaN()},
		"no room for the number":         {" total energy / initial energy..   1.01000E+00", " total energy / initial energy..**************", Ratio, math.NaN()},
		"other words for the percentage": {" percentage increase............", " percent increase...............", AddedMassPercent, 1.5},
		"CRLF":                           {"\n", "\r\n", Internal, 100},
		"more dots":                      {" kinetic energy.................", " kinetic energy.........................", Kinetic, 900},
	} {
		t.Run(name, func(t *testing.T) {
			text := at(0.01).text()
			must.StrContains(t, text, c.old)
			s := read(t, &Reader{}, strings.ReplaceAll(text, c.old, c.now))
			mustValue(t, &s.Last, c.quantity, c.want)
		})
	}
}

func TestReader_cycleOfEightDigits(t *testing.T) {
	b := at(0.01)
	b.cycle = 54773890
	text := b.text()
	must.StrContains(t, text, "cycle54773890 is")
	must.Eq(t, 54773890, read(t, &Reader{}, text).Last.Cycle)
}

func TestReader_whatABlockDoesNotTell(t *testing.T) {
	b := at(0.01)
	b.noHourglass, b.noMass = true, true
	s := read(t, &Reader{}, b.text())
	mustNotKnow(t, &s.Last, Hourglass)
	mustNotKnow(t, &s.Last, AddedMass)
	mustNotKnow(t, &s.Last, AddedMassPercent)
	_, ok := s.Value(Hourglass)
	must.False(t, ok)
}

func TestReader_nothing(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "only a heading": heading, "other text": strings.Repeat("a line of something else that is long enough\n", 50),
		"a block without energies": heading + at(0.01).text()[:90],
	} {
		t.Run(name, func(t *testing.T) { must.Nil(t, read(t, &Reader{}, text)) })
	}
}

// However the bytes come, the same is read; nothing of it is read twice.
func TestReader_inPieces(t *testing.T) {
	text := heading + at(0.01).text() + at(0.02).text() + at(0.03).text()
	want := read(t, &Reader{}, text)
	for size := 1; size < 200; size++ {
		var r Reader
		for at := 0; at < len(text); at += size {
			_, _ = r.Write([]byte(text[at:min(at+size, len(text))]))
			_ = r.Stats() // between the pieces
		}
		must.Eq(t, fmt.Sprint(want.Series), fmt.Sprint(r.Stats().Series))
		must.Eq(t, want.Blocks, r.Stats().Blocks)
	}
}

// A buffer that ends within a block hides neither its energies nor the mass before it.
func TestReader_blockThatIsBeingWritten(t *testing.T) {
	late := at(0.02)
	late.ratio, late.mass = 1.3, 0.5
	text := late.text()
	end := strings.Index(text, "\n energy ratio w/o") + 1
	s := read(t, &Reader{}, heading+at(0.01).text()+text[:end])
	must.Eq(t, 2, s.Blocks)
	must.Eq(t, 0.02, s.Last.Time)
	mustValue(t, &s.Last, Ratio, 1.3)
	mustValue(t, &s.Last, AddedMass, 0.002)

	s = read(t, &Reader{}, heading+at(0.01).text()+text[:strings.Index(text, "\n internal energy")+1])
	must.Eq(t, 0.01, s.Last.Time)
}

// A restart goes on in the same file: with the times after its dump, which are those of
// the run, whatever had been computed before.
func TestReader_restartInTheSameFile(t *testing.T) {
	var r Reader
	text := heading
	for i := range 6 {
		b := at(float64(i) / 100)
		if i > 3 {
			b.ratio, b.dt, b.internal = 5, 1, 1e9
		}
		text += b.text()
	}
	before := read(t, &r, text)
	must.Eq(t, 1, before.LargestDt)
	s := read(t, &r, heading+at(0.035).text()+at(0.04).text())
	var times []float64
	for _, p := range s.Points(Ratio) {
		times = append(times, p.Time)
		must.Eq(t, 1.01, p.Value)
	}
	must.Eq(t, []float64{0, 0.01, 0.02, 0.03, 0.035, 0.04}, times)
	must.Eq(t, 1e-5, s.LargestDt)
	must.Eq(t, 100, s.LargestInternal)
	must.Eq(t, 6, len(before.Series), must.Sprint("what was read before has changed"))

	again := read(t, &r, heading+at(0).text()) // another run, from the beginning
	must.Eq(t, 1, again.Blocks)
	must.Eq(t, 1, len(again.Series))
}

func TestReader_keepsABoundedNumber(t *testing.T) {
	var r Reader
	const blocks = 10 * MaxSamples
	for i := range blocks {
		b := at(float64(i))
		b.cycle = i + 1
		_, _ = r.Write([]byte(b.text()))
		if i%37 != 0 {
			continue
		}
		s := r.Stats()
		must.LessEq(t, MaxSamples, len(s.Series))
		must.Eq(t, float64(i), s.Last.Time)
		must.Eq(t, float64(i), s.Series[len(s.Series)-1].Time)
	}
	s := r.Stats()
	must.Eq(t, blocks, s.Blocks)
	must.Eq(t, 0, s.Series[0].Time)
	must.Greater(t, MaxSamples/2-2, len(s.Series))
	for i := 2; i < len(s.Series)-1; i++ { // evenly
		must.Eq(t, s.Series[1].Time-s.Series[0].Time, s.Series[i].Time-s.Series[i-1].Time)
	}
}

// The echo of a deck in d3hsp has lines that look like rows of a block.
func TestReader_inAListing(t *testing.T) {
	echo := " time step......................   9.00000E+09\n added mass.....................   9.00000E+09\n time...........................   9.00000E+09\n total energy...................   1.00000E+00\n"
	r := Reader{InListing: true}
	must.Nil(t, read(t, &r, echo))
	s := read(t, &r, at(0.01).text()+echo)
	must.Eq(t, 1, s.Blocks)
	must.Eq(t, 0.01, s.Last.Time)
	mustValue(t, &s.Last, AddedMass, 0.002)
}

func TestReader_withoutLinesOfCycles(t *testing.T) {
	text := at(0.01).text() + at(0.02).text()
	lines := strings.Split(text, "\n")
	kept := lines[:0]
	for _, l := range lines {
		if !strings.Contains(l, "dt of cycle") {
			kept = append(kept, l)
		}
	}
	s := read(t, &Reader{}, strings.Join(kept, "\n"))
	must.Eq(t, 2, s.Blocks)
	must.Eq(t, 0, s.Last.Cycle)
}

func TestStats_ofNothing(t *testing.T) {
	var s *Stats
	_, ok := s.Value(Ratio)
	must.False(t, ok)
	must.SliceEmpty(t, s.Points(Ratio))
}

func TestStats_newestValueThatIsKnown(t *testing.T) {
	silent := at(0.02)
	silent.noHourglass = true
	s := read(t, &Reader{}, at(0.01).text()+silent.text())
	p, ok := s.Value(Hourglass)
	must.True(t, ok)
	must.Eq(t, Point{Time: 0.01, Value: 5}, p)
}

func TestStats_pointsAreFinite(t *testing.T) {
	broken := at(0.02)
	broken.ratio = math.NaN()
	s := read(t, &Reader{}, at(0.01).text()+broken.text())
	must.Len(t, 2, s.Series)
	must.Eq(t, []Point{{0.01, 1.01}}, s.Points(Ratio))
}

// A real one, where it is there.
func TestReader_ofR14(t *testing.T) {
	data, err := os.ReadFile("../../../../shared/samples/r14.glstat")
	if err != nil {
		t.Skip("the samples are not here")
	}
	s := read(t, &Reader{}, string(data))
	must.Eq(t, 1, s.Blocks)
	must.Eq(t, 1, s.Last.Cycle)
	must.Eq(t, "load curve", s.Controls)
	mustValue(t, &s.Last, Dt, 0.1)
	mustValue(t, &s.Last, Total, 2e-20)
	mustValue(t, &s.Last, Ratio, 1)
	mustValue(t, &s.Last, AddedMassPercent, 0)
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(heading+at(0.01).text()+at(0.02).text()), 7)
	f.Add([]byte(at(0.03).text()+at(0.02).text()), 64)
	f.Add([]byte(" dt of cycle is controlled by "+strings.Repeat("*", 300)+"\n time.....NaN\n total energy....1\n"), 3)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		var whole, pieces Reader
		_, _ = whole.Write(data)
		piece = max(piece, 1)
		for at := 0; at < len(data); at += piece {
			_, _ = pieces.Write(data[at:min(at+piece, len(data))])
		}
		a, b := whole.Stats(), pieces.Stats()
		must.Eq(t, a == nil, b == nil)
		if a == nil {
			return
		}
		must.Eq(t, fmt.Sprint(a.Series), fmt.Sprint(b.Series))
		must.LessEq(t, MaxSamples, len(a.Series))
		must.LessEq(t, maxControls, len(a.Controls))
		for i := 1; i < len(a.Series); i++ {
			must.Greater(t, a.Series[i-1].Time, a.Series[i].Time)
		}
	})
}
