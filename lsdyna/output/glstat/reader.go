// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package glstat

import (
	"bytes"
	"math"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/fortran"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
)

// Reader takes the text of a glstat, or of a d3hsp, once, in pieces of any size.
type Reader struct {
	// InListing says that the text is a d3hsp, of which the blocks are a small part: only
	// what stands below a line "dt of cycle" counts.
	InListing bool

	series  series
	block   Sample // the one being read
	open    bool   // it has a time
	headed  bool   // a line "dt of cycle" was read, and no time below it yet
	cycle   int64
	control string // of the block being read

	partial []byte // the beginning of a line whose end has not come yet
	cut     bool   // partial has reached maxLine: the rest of the line is dropped
}

// maxLine bounds a line that is read, in bytes. The longest that counts has 60.
const maxLine = 128

// maxControls bounds the words about what controls the time step.
const maxControls = 60

// Write takes the next bytes. It never fails.
func (r *Reader) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			r.hold(p)
			break
		}
		if len(r.partial) == 0 && !r.cut {
			r.line(p[:end])
		} else {
			r.hold(p[:end])
			r.line(r.partial)
			r.partial, r.cut = r.partial[:0], false
		}
		p = p[end+1:]
	}
	return n, nil
}

// hold keeps the beginning of a line.
func (r *Reader) hold(p []byte) {
	if room := maxLine - len(r.partial); len(p) > room {
		p, r.cut = p[:room], true
	}
	r.partial = append(r.partial, p...)
}

// Stats is what was read up to now; nil where no block was there. The newest block counts
// as soon as its energies are there: LS-DYNA writes a block in one go, but a buffer may
// end within it.
func (r *Reader) Stats() *Stats {
	all := r.series
	controls := r.control
	if r.open && r.told() {
		all.kept = append([]Sample(nil), all.kept...)
		r.complete(&all)
	}
	if all.blocks == 0 {
		return nil
	}
	s := all.stats()
	s.Controls = controls
	return &s
}

// told reports whether the block being read has what blocks are read for.
func (r *Reader) told() bool {
	_, ratio := r.block.Value(Ratio)
	_, total := r.block.Value(Total)
	return ratio || total
}

// complete adds the block being read. Where its last lines have not come, the mass is
// that of the block before it.
func (r *Reader) complete(to *series) {
	b := r.block
	b.takeMissing(&to.last, AddedMass, AddedMassPercent)
	to.add(b)
}

var (
	cycleMark    = []byte("dt of cycle")
	controlsMark = []byte("is controlled by ")
)

// indent is by how many blanks the lines of a block are indented at most.
const indent = 4

// line takes one line without its line feed.
func (r *Reader) line(line []byte) {
	i := 0
	for i < len(line) && line[i] == ' ' {
		i++
	}
	if i > indent || i+20 > len(line) {
		return
	}
	text := line[i:min(len(line), maxLine)]
	if text[0] == 'd' && bytes.HasPrefix(text, cycleMark) {
		r.head(text[len(cycleMark):])
		return
	}
	if !r.open && !r.headed && r.InListing {
		return
	}
	for _, row := range rows[text[0]] {
		if value, ok := row.match(text); ok {
			r.row(row.quantity, value)
			return
		}
	}
}

// head takes `       1 is controlled by shell      4711 of part        12`, which begins a
// block. The number may stand close to the words before it.
func (r *Reader) head(rest []byte) {
	r.end()
	rest = bytes.TrimLeft(rest, " ")
	n := 0
	for n < len(rest) && rest[n]-'0' <= 9 {
		n++
	}
	r.cycle, _ = fortran.Integer(rest[:n])
	r.control, r.headed = "", true
	if _, by, found := bytes.Cut(rest, controlsMark); found {
		r.control = sanitize.Line(bytes.TrimRight(by, "\r"), maxControls)
	}
}

// end ends the block being read.
func (r *Reader) end() {
	if r.open {
		r.complete(&r.series)
	}
	r.open, r.headed, r.cycle = false, false, 0
}

// row takes a value of the block.
func (r *Reader) row(q Quantity, value float64) {
	if q == timeRow {
		if r.open { // without a line "dt of cycle"
			if r.InListing {
				return
			}
			r.end()
		}
		if !isFinite(value) {
			return // nobody can tell where it belongs
		}
		r.block = Sample{Time: value, Cycle: r.cycle}
		r.open, r.headed = true, false
		return
	}
	if !r.open {
		return
	}
	if _, again := r.block.Value(q); !again {
		r.block.Set(q, value)
	}
}

// row is one kind of line of a block: its name, which dots follow.
type row struct {
	name     string
	quantity Quantity
}

// timeRow stands for the problem time.
const timeRow = quantities

// rows by the first byte of their names. Sources: a glstat of R14; LSTC's l2a, which writes
// a glstat from a binout.
var rows = [256][]row{
	't': {{"time", timeRow}, {"time step", Dt}, {"total energy", Total}, {"total energy / initial energy", Ratio}},
	'k': {{"kinetic energy", Kinetic}},
	'i': {{"internal energy", Internal}},
	'h': {{"hourglass energy", Hourglass}},
	's': {{"sliding interface energy", Sliding}},
	'e': {{"energy ratio w/o eroded energy", RatioUneroded}},
	'a': {{"added mass", AddedMass}},
	'p': {{"percentage increase", AddedMassPercent}, {"percent increase", AddedMassPercent}},
}

// match reads `kinetic energy.................   1.23456E+03`: the name, dots, with a blank
// before them or not, and a number, behind which more may stand.
func (w row) match(text []byte) (value float64, ok bool) {
	if len(text) <= len(w.name) || string(text[:len(w.name)]) != w.name {
		return 0, false
	}
	rest := text[len(w.name):]
	if rest[0] == ' ' {
		rest = rest[1:]
	}
	number := bytes.TrimLeft(rest, ".")
	if len(number) == len(rest) {
		return 0, false
	}
	number = bytes.TrimLeft(number, " ")
	if end := bytes.IndexAny(number, " \r"); end >= 0 {
		number = number[:end]
	}
	if len(number) == 0 {
		return 0, false
	}
	if v, isNumber := fortran.Float(number); isNumber {
		return v, true
	}
	return math.NaN(), noNumber(number)
}

// noNumber reports whether Fortran prints so what is no finite number, or has no room.
func noNumber(b []byte) bool {
	b = bytes.TrimLeft(b, "+-")
	return bytes.EqualFold(b, []byte("nan")) || len(b) >= 3 && bytes.EqualFold(b[:3], []byte("inf")) || len(b) > 3 && len(bytes.Trim(b, "*")) == 0
}
