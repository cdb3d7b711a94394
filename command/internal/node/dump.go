// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package node

import (
	"fmt"
	"math"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// WrittenDump is a dump with all of its files, and when these were written, by the clock
// of their file server.
type WrittenDump struct {
	output.Dump
	At time.Time
}

// findDump finds out when the newest dump was written. was is what is known; nil where
// there is none with all of its files.
func findDump(folder *rundir.Folder, was *WrittenDump, s output.Snapshot) *WrittenDump {
	last := s.LastDump()
	if last == nil {
		return nil
	}
	if was != nil && was.Same(*last) {
		return was
	}
	found, err := folder.AllDumps()
	if err != nil {
		return was
	}
	files, ok := rundir.NewestDump(found, last.Name)
	if !ok || !files.Whole(rundir.RanksOf(s)) {
		return was
	}
	return &WrittenDump{Dump: *last, At: files.ModTime}
}

// TaskDump is what is lost with a task's machine: what was computed since its newest
// dump.
type TaskDump struct {
	Checkpoint *float64 `json:"checkpoint_seconds"`      // the job's interval; null where it asks for none
	DumpTime   *float64 `json:"restart_file_time"`       // problem time of the newest dump that is whole
	WrittenAt  *string  `json:"restart_file_written_at"` // by the clock of its file server
	DumpAge    *float64 `json:"restart_file_age_seconds"`
}

func dumpReport(t *Task, now time.Time) (r TaskDump) {
	r.Checkpoint = finite(t.Details.Checkpoint.Seconds(), t.Details.Checkpoint > 0)
	if d := t.Progress.Dump; d != nil {
		at := d.At.UTC().Format(time.RFC3339)
		r.DumpTime, r.WrittenAt = finite(d.Time, true), &at
		r.DumpAge = finite(math.Round(max(now.Sub(d.At), 0).Seconds()), true)
	}
	return r
}

// Loss says in a line what is lost with the task's machine; "" where there is nothing to
// say.
func (t *Task) Loss(now time.Time) string {
	if !t.Progress.Known || t.Progress.Snapshot.Phase != output.PhaseSolving {
		return ""
	}
	var text string
	switch d := t.Progress.Dump; {
	case d != nil:
		text = fmt.Sprintf("newest dump %s of t = %.4g, %s old", d.Name, d.Time, screen.Duration(max(now.Sub(d.At), 0)))
	case t.Details.Checkpoint > 0 && t.Details.Restart != "":
		text = fmt.Sprintf("no dump yet since %s, with which it began", t.Details.Restart)
	case t.Details.Checkpoint > 0:
		text = "no dump yet"
	default:
		return ""
	}
	if every := t.Details.Checkpoint; every > 0 {
		text += fmt.Sprintf("; a checkpoint every %s", screen.Duration(every))
	}
	return text
}
