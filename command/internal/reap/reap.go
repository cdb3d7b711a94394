// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package reap removes the records of runs that are over and that Nomad forgot, with
// proof, and ends tasks that Nomad can no longer end.
package reap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// What was done to a record.
const (
	Kept        = "kept"
	Removed     = "removed"
	Ended       = "ended"
	WouldRemove = "would_remove"
	WouldEnd    = "would_end"
)

// Report is what `reap -json` prints.
type Report struct {
	Records []Row    `json:"records"`
	Notes   []string `json:"notes"`
	Failed  bool     `json:"-"` // something could not be done or read
}

// Row is one record.
type Row struct {
	JobID      string `json:"job_id"`
	AllocID    string `json:"alloc_id"`
	Task       string `json:"task"`
	Invocation string `json:"invocation"`
	State      string `json:"state"` // before anything was done
	Action     string `json:"action"`
	Why        string `json:"why"`
}

// AmbiguousError says that Options.Kill may mean several allocations.
type AmbiguousError struct{ Kill, Alloc string }

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%s: several allocations begin with %s; give more of the id", e.Kill, e.Alloc)
}

// Options say what to do.
type Options struct {
	DryRun bool
	Kill   string        // ALLOC/TASK, "" for none
	Insist bool          // end it although Nomad may know it
	Dump   time.Duration // how long the solver has for its dump
}

// reaper is one call of Run.
type reaper struct {
	Options
	report Report
}

// Run removes the records that are proven to be of no use, and ends the task that
// the options name.
func Run(ctx context.Context, records []*state.Record, o Options) (Report, error) {
	r := &reaper{Options: o, report: Report{Records: []Row{}, Notes: []string{}}}
	if err := r.findTarget(records); err != nil {
		return r.report, err
	}
	for _, c := range r.open(records) {
		r.handle(ctx, c)
		c.proc.Close()
	}
	return r.report, nil
}

// findTarget makes -kill's allocation id a whole one.
func (r *reaper) findTarget(records []*state.Record) error {
	if r.Kill == "" {
		return nil
	}
	alloc, task, _ := strings.Cut(r.Kill, "/")
	found := ""
	for _, record := range records {
		if record.ID.Task != task || !strings.HasPrefix(record.ID.Alloc, alloc) {
			continue
		}
		if found != "" && found != record.ID.Alloc {
			return &AmbiguousError{r.Kill, alloc}
		}
		found = record.ID.Alloc
	}
	if found == "" {
		return fmt.Errorf("there is no record of %s; nothing was ended", r.Kill)
	}
	r.Kill = found + "/" + task
	return nil
}

// open looks at every record before anything is done: runs of one task share
// its cgroup, so that what lives in an old run's may be a later run.
func (r *reaper) open(records []*state.Record) []*candidate {
	var candidates []*candidate
	live := map[string]bool{}
	for _, record := range records {
		c, err := openCandidate(record)
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) { // removed meanwhile
				r.report.Notes = append(r.report.Notes, fmt.Sprintf("record %s cannot be read: %v", record.ID, err))
				r.report.Failed = true
			}
			continue
		}
		candidates = append(candidates, c)
		live[c.name()] = live[c.name()] || c.state == supervisor.Running || c.state == supervisor.Launching
	}
	for _, c := range candidates {
		c.laterRun = c.state != supervisor.Running && c.state != supervisor.Launching && live[c.name()]
	}
	return candidates
}

// handle does with one record what is due.
func (r *reaper) handle(ctx context.Context, c *candidate) {
	record := c.record
	row := Row{
		JobID: c.details.JobID, AllocID: record.ID.Alloc, Task: record.ID.Task, Invocation: record.ID.Invocation,
		State: c.state.String(), Action: Kept,
	}
	if r.Kill == c.name() {
		row.Action, row.Why = r.end(ctx, c)
	}
	if row.Action == Kept {
		if why, ok := c.proof(); !ok {
			row.Why = join(row.Why, why)
		} else {
			row.Action, row.Why = r.remove(c, join(row.Why, why))
		}
	}
	r.report.Records = append(r.report.Records, row)
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// remove removes a record, under its lock and only if it still is the one that was
// looked at.
func (r *reaper) remove(c *candidate, proof string) (action, why string) {
	if r.DryRun {
		return WouldRemove, proof
	}
	if err := c.record.TryLock(); err != nil {
		r.report.Failed = r.report.Failed || !errors.Is(err, state.ErrHeld)
		return Kept, err.Error()
	}
	defer c.record.Release()
	if now, err := os.Lstat(c.record.Dir); err != nil || !os.SameFile(now, c.folder) {
		return Kept, "it was replaced meanwhile"
	}
	if err := errors.Join(supervisor.RemoveCgroups(c.record.Dir), c.record.Remove()); err != nil {
		r.report.Failed = true
		return Kept, err.Error()
	}
	return Removed, proof
}

// killTimeout is how long processes may take to go after SIGKILL.
const killTimeout = time.Minute

// end ends the live processes of a task that Nomad can no longer end.
func (r *reaper) end(ctx context.Context, c *candidate) (action, why string) {
	pids, err := c.pids()
	switch {
	case c.laterRun:
		return Kept, "a later run of it lives"
	case err != nil:
		r.report.Failed = true
		return Kept, fmt.Sprintf("cannot tell its processes: %v", err)
	case len(pids) == 0 && c.state == supervisor.Ended:
		return Kept, "nothing of it lives"
	case c.state == supervisor.Launching:
		r.report.Failed = true
		return Kept, "it is just being started; try again in a moment"
	case c.state == supervisor.Running && !c.unknown && !r.Insist:
		r.report.Failed = true
		return Kept, fmt.Sprintf("Nomad may know it (%s): nomad alloc stop %s; where that does nothing, -insist ends it", c.unknowing, c.record.ID.Alloc)
	case r.DryRun:
		return WouldEnd, fmt.Sprintf("processes %v", pids)
	}
	asking, stopAsking := context.WithTimeout(ctx, r.Dump)
	said := c.stopWithDump(asking)
	stopAsking()
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	if err := c.kill(ctx); err != nil {
		r.report.Failed = true
		return Kept, join(said, err.Error())
	}
	return Ended, join(join(fmt.Sprintf("processes %v", pids), said), c.clearCgroups())
}

// clearCgroups removes what Nomad made for a task that it does not know any more, and
// says what is in the way.
func (c *candidate) clearCgroups() string {
	if !c.unknown {
		return "" // the task may be started again in them
	}
	if err := supervisor.RemoveTaskCgroups(c.record.Dir, c.record.ID.Alloc+"."+c.record.ID.Task); err != nil {
		return err.Error()
	}
	return ""
}
