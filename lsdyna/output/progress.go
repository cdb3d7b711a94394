// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/fortran"
)

// Columns of a progress line, counted from 0. Every one of the 167,208 lines
// seen has them; the line is 80 bytes long:
//
//	1302 t 1.3908E+00 dt 1.07E-03 write d3plot file            08/12/24 15:37:13
const (
	colCycle, colCycleEnd = 0, 8
	colTime, colTimeEnd   = 11, 21
	colDt, colDtEnd       = 25, 33
	colEvent, colEventEnd = 34, 63
	colDate, colDateEnd   = 63, 71
	colClock, colClockEnd = 72, 80
)

// isProgress reports whether a line has the letters of a progress line in their
// columns, and a cycle. The thermal solver prints lines without a cycle: their time
// is that of a step that is not finished.
func isProgress(line []byte) bool {
	return len(line) >= colDtEnd && line[9] == 't' && line[8] == ' ' && line[10] == ' ' &&
		line[22] == 'd' && line[23] == 't' && line[21] == ' ' && line[24] == ' ' && line[7] != ' '
}

// progress takes a progress line.
func (r *Reader) progress(line []byte) {
	f := &r.facts
	t, ok := fortran.E10(line[colTime:colTimeEnd])
	if !ok {
		return
	}
	f.onDeck(PhaseSolving)
	f.afterDump()
	cycle, hasCycle := fortran.Integer(line[colCycle:colCycleEnd])
	dt := r.stepSize(line[colDt:colDtEnd])
	wall, dated := int64(0), false
	if len(line) >= colClockEnd {
		wall, dated = r.wallClock(line[colDate:colDateEnd], line[colClock:colClockEnd])
	}
	if dated {
		f.LastWall = wall
	}
	if len(line) >= colEventEnd && line[colEvent] == 'w' {
		r.written(line[colEvent:colEventEnd], t, cycle, wall)
	}
	if f.FinalTime {
		return // MPP prints one more progress line after the closing block
	}
	f.HasTime, f.Time = true, t
	if hasCycle {
		f.Cycle = cycle
	}
	if dt > 0 {
		f.Dt = dt // 0 is printed at a stop
	}
	if dated {
		f.Rate.Add(wall, t, f.Cycle)
	}
}

// stepSize reads the dt column, which is seldom another than on the line before.
func (r *Reader) stepSize(b []byte) float64 {
	if [8]byte(b) != r.lastDt {
		r.lastDt = [8]byte(b)
		r.dt, _ = fortran.Float(b)
	}
	return r.dt
}

// wallClock reads the date and time columns. The date is seldom another than on
// the line before.
func (r *Reader) wallClock(date, clock []byte) (int64, bool) {
	if [8]byte(date) != r.lastDate {
		r.midnight, r.dateOK = wallClock(date, []byte("00:00:00"))
		r.lastDate = [8]byte(date)
	}
	second, ok := secondOfDay(clock)
	return r.midnight + second, ok && r.dateOK
}

// written notes a dump from an event "write d3dump01 file".
func (r *Reader) written(event []byte, t float64, cycle, wall int64) {
	name, ok := bytes.CutPrefix(event, []byte("write "))
	if !ok || (name[0] != 'd' && name[0] != 'r') {
		return
	}
	if bytes.HasPrefix(name, []byte("d3plot")) {
		r.facts.PlotStates++
		return
	}
	name, _, ok = bytes.Cut(name, []byte(" file"))
	if !ok || !lsdyna.IsDump(string(name)) {
		return
	}
	f := &r.facts
	dump := Dump{Name: string(name), Time: t, Cycle: cycle, Wall: time.Unix(wall, 0).UTC()}
	if len(f.Dumps) == maxDumps {
		f.Dumps = append(f.Dumps[:0], f.Dumps[1:]...)
	}
	f.Dumps = append(f.Dumps, dump)
}

// wallClock reads 08/12/24 and 15:37:13 as seconds since 1970 in the solver's
// own time zone, which outputs do not name.
func wallClock(date, clock []byte) (int64, bool) {
	month, day, year, ok := three(date, '/')
	if !ok || month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, false
	}
	second, ok := secondOfDay(clock)
	return daysSince1970(2000+year, month, day)*86400 + second, ok
}

func secondOfDay(clock []byte) (int64, bool) {
	hour, minute, second, ok := three(clock, ':')
	return int64(hour*3600 + minute*60 + second), ok && hour < 24 && minute < 60 && second <= 60
}

// three reads two digits, three times, with a separator between.
func three(b []byte, sep byte) (x, y, z int, ok bool) {
	if len(b) != 8 || b[2] != sep || b[5] != sep {
		return 0, 0, 0, false
	}
	a0, a1, b0, b1, c0, c1 := b[0]-'0', b[1]-'0', b[3]-'0', b[4]-'0', b[6]-'0', b[7]-'0'
	if a0 > 9 || a1 > 9 || b0 > 9 || b1 > 9 || c0 > 9 || c1 > 9 {
		return 0, 0, 0, false
	}
	return int(a0)*10 + int(a1), int(b0)*10 + int(b1), int(c0)*10 + int(c1), true
}

// daysSince1970 counts days of the Gregorian calendar. Its years begin in March,
// so that the leap day is the last day of a year.
func daysSince1970(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return int64(365*year+year/4-year/100+year/400+(153*(month-3)+2)/5+day) - 719469
}
