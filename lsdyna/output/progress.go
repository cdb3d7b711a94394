// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/fortran"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/stamp"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/lines"
)

// progress takes a progress line.
func (r *Reader) progress(line []byte) {
	f := &r.facts
	t, ok := fortran.E10(line[lines.ColTime:lines.ColTimeEnd])
	if !ok {
		return
	}
	f.onDeck(PhaseSolving)
	f.afterDump()
	cycle, hasCycle := fortran.Integer(line[lines.ColCycle:lines.ColCycleEnd])
	dt := r.stepSize(line[lines.ColDt:lines.ColDtEnd])
	wall, dated := int64(0), false
	if len(line) >= lines.ColClockEnd {
		wall, dated = r.wallClock(line[lines.ColDate:lines.ColDateEnd], line[lines.ColClock:lines.ColClockEnd])
	}
	if dated {
		f.LastWall = wall
	}
	if len(line) >= lines.ColEventEnd {
		switch line[lines.ColEvent] {
		case 'w':
			r.written(line[lines.ColEvent:lines.ColEventEnd], t, cycle, wall)
		case 'f':
			f.Flushes++
		}
	}
	if f.FinalTime {
		return // MPP prints one more progress line after the closing block
	}
	r.relaxes(line[min(len(line), lines.ColEvent):min(len(line), lines.ColEventEnd)], t, cycle)
	f.HasTime, f.Time = true, t
	f.Signs++
	if hasCycle {
		f.Cycle = cycle
	}
	if dt > 0 {
		f.Dt = dt // 0 is printed at a stop
		f.LargestDt = max(f.LargestDt, dt)
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
		r.midnight, r.dateOK = stamp.Wall(date, []byte("00:00:00"))
		r.lastDate = [8]byte(date)
	}
	second, ok := stamp.SecondOfDay(clock)
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
