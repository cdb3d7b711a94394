// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

const reapHelp = `USAGE
  nomad-driver-lsdyna reap [-state-dir DIR] [-dry-run] [-json]
      [-kill ALLOC/TASK]

DESCRIPTION
  Removes the records of runs that Nomad forgot, and leaves all others alone. A
  record goes only when it is proven that its run is over, and that nobody will
  ask how it ended:

    over       Nobody holds the record's lock, and its solver's exit is on record,
               or its pid with this start time and boot is gone, or the machine
               was started since; and nothing is left in its cgroup.
    forgotten  The folder of its allocation is gone from Nomad's data_dir, or the
               machine was started since and no exit was recorded, or nothing was
               ever started in it.

  A solver that lives is never touched, whoever started it, unless -kill names
  it. The plugin may run meanwhile.

OPTIONS
  -state-dir DIR    The agent's state_dir (/var/lib/nomad-driver-lsdyna).
  -dry-run          Only tell what would be done.
  -kill ALLOC/TASK  End this task's live processes, through its cgroup, when its
                    supervisor or its allocation is gone. A task that Nomad knows
                    and that has its supervisor is for "nomad alloc stop". ALLOC
                    may be the beginning of an allocation's id.
  -json             An object with records (job_id, alloc_id, task, invocation,
                    state, action, why) and notes. action is removed, ended or
                    kept; with -dry-run would_remove and would_end.

EXIT STATUS
  0; 1 when records cannot be read or removed, or a task could not be ended; 2 for
  a wrong call.
`

// What reap does to a record.
const (
	actionKept    = "kept"
	actionRemoved = "removed"
	actionEnded   = "ended"
)

// reapReport is what `reap -json` prints.
type reapReport struct {
	Records []reapRow `json:"records"`
	Notes   []string  `json:"notes"`
	failed  bool
}

// reapRow is one record.
type reapRow struct {
	JobID      string `json:"job_id"`
	AllocID    string `json:"alloc_id"`
	Task       string `json:"task"`
	Invocation string `json:"invocation"`
	State      string `json:"state"` // before anything was done
	Action     string `json:"action"`
	Why        string `json:"why"`
}

// reaper is one call of reap.
type reaper struct {
	dryRun bool
	kill   string // ALLOC/TASK, "" for none
	report reapReport
}

func runReap(ctx context.Context, args []string, s streams) error {
	fs := newFlags("reap")
	dir := fs.String("state-dir", DefaultStateDir, "")
	dryRun := fs.Bool("dry-run", false, "")
	kill := fs.String("kill", "", "")
	asJSON := fs.Bool("json", false, "")
	if err := parseOnly(fs, args); err != nil {
		return err
	}
	if *dir == "" {
		return usagef("-state-dir is empty; name the agent's state_dir")
	}
	if alloc, task, ok := strings.Cut(*kill, "/"); *kill != "" && (!ok || alloc == "" || task == "") {
		return usagef("-kill takes ALLOC/TASK, as status shows them, not %q", *kill)
	}
	store, notes, err := openState(filepath.Clean(*dir))
	if err != nil {
		return err
	}
	var records []*state.Record
	if store != nil {
		if records, err = store.Records(); err != nil {
			notes = append(notes, fmt.Sprintf("some records cannot be read: %v", err))
		}
	}
	r := &reaper{dryRun: *dryRun, kill: *kill, report: reapReport{Records: []reapRow{}, Notes: notNil(notes)}}
	if err := r.findTarget(records); err != nil {
		return err
	}
	cases := r.open(records)
	for _, c := range cases {
		r.record(ctx, c)
		c.proc.Close()
	}
	if err := r.write(*asJSON, s); err != nil {
		return err
	}
	if r.report.failed {
		return errAnswerNo
	}
	return nil
}

// findTarget makes -kill's allocation id a whole one.
func (r *reaper) findTarget(records []*state.Record) error {
	if r.kill == "" {
		return nil
	}
	alloc, task, _ := strings.Cut(r.kill, "/")
	found := ""
	for _, record := range records {
		if record.ID.Task != task || !strings.HasPrefix(record.ID.Alloc, alloc) {
			continue
		}
		if found != "" && found != record.ID.Alloc {
			return usagef("-kill %s: several allocations begin with %s; give more of the id", clean(r.kill), clean(alloc))
		}
		found = record.ID.Alloc
	}
	if found == "" {
		return fmt.Errorf("there is no record of %s; nothing was ended", r.kill)
	}
	r.kill = found + "/" + task
	return nil
}

// open looks at every record before anything is done: runs of one task share
// its cgroup, so that what lives in an old run's may be a later run.
func (r *reaper) open(records []*state.Record) []*reapCase {
	var cases []*reapCase
	live := map[string]bool{}
	for _, record := range records {
		c, err := openCase(record)
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) { // removed meanwhile
				r.report.Notes = append(r.report.Notes, fmt.Sprintf("record %s cannot be read: %v", record.ID, err))
				r.report.failed = true
			}
			continue
		}
		cases = append(cases, c)
		live[c.name()] = live[c.name()] || c.state == supervisor.Running || c.state == supervisor.Launching
	}
	for _, c := range cases {
		c.laterRun = c.state != supervisor.Running && c.state != supervisor.Launching && live[c.name()]
	}
	return cases
}

// record judges one record and does what is due.
func (r *reaper) record(ctx context.Context, c *reapCase) {
	record := c.record
	row := reapRow{
		JobID: c.details.JobID, AllocID: record.ID.Alloc, Task: record.ID.Task, Invocation: record.ID.Invocation,
		State: c.state.String(), Action: actionKept,
	}
	if r.kill == c.name() {
		row.Action, row.Why = r.end(ctx, c)
	}
	if row.Action == actionKept {
		if why, ok := c.proof(); !ok {
			row.Why = joinWords(row.Why, why)
		} else {
			row.Action, row.Why = r.remove(c, joinWords(row.Why, why))
		}
	}
	r.report.Records = append(r.report.Records, row)
}

func joinWords(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// remove removes a record, under its lock and only if it still is the one that
// was judged.
func (r *reaper) remove(c *reapCase, why string) (action, words string) {
	if r.dryRun {
		return "would_remove", why
	}
	if err := c.record.TryLock(); err != nil {
		r.report.failed = r.report.failed || !errors.Is(err, state.ErrHeld)
		return actionKept, err.Error()
	}
	defer c.record.Release()
	if now, err := os.Lstat(c.record.Dir); err != nil || !os.SameFile(now, c.folder) {
		return actionKept, "it was replaced meanwhile"
	}
	if err := c.record.Remove(); err != nil {
		r.report.failed = true
		return actionKept, err.Error()
	}
	return actionRemoved, why
}

// killPatience is how long processes may take to go after SIGKILL.
const killPatience = time.Minute

// end ends the live processes of a task that Nomad can no longer end.
func (r *reaper) end(ctx context.Context, c *reapCase) (action, words string) {
	pids, err := c.pids()
	switch {
	case c.laterRun:
		return actionKept, "a later run of it lives"
	case err != nil:
		r.report.failed = true
		return actionKept, fmt.Sprintf("cannot tell its processes: %v", err)
	case len(pids) == 0 && c.state == supervisor.Ended:
		return actionKept, "nothing of it lives"
	case c.state == supervisor.Launching:
		r.report.failed = true
		return actionKept, "it is just being started; try again in a moment"
	case c.state == supervisor.Running && !c.allocGone:
		r.report.failed = true
		return actionKept, fmt.Sprintf("Nomad knows it: nomad alloc stop %s", c.record.ID.Alloc)
	case r.dryRun:
		return "would_end", fmt.Sprintf("processes %v", pids)
	}
	ctx, cancel := context.WithTimeout(ctx, killPatience)
	defer cancel()
	if err := c.kill(ctx); err != nil {
		r.report.failed = true
		return actionKept, err.Error()
	}
	return actionEnded, fmt.Sprintf("processes %v", pids)
}

// write prints the report.
func (r *reaper) write(asJSON bool, s streams) error {
	if asJSON {
		return writeJSON(s.out, r.report)
	}
	var b strings.Builder
	for _, note := range r.report.Notes {
		fmt.Fprintf(&b, "%s\n", clean(note))
	}
	for _, row := range r.report.Records {
		job := row.JobID
		if job == "" {
			job = "-"
		}
		fmt.Fprintf(&b, "%-12s %s/%s/%s  %s  %s: %s\n", strings.ReplaceAll(row.Action, "_", " "),
			clean(row.AllocID), clean(row.Task), clean(row.Invocation), clean(job), row.State, clean(row.Why))
	}
	if len(r.report.Records) == 0 && len(r.report.Notes) == 0 {
		b.WriteString("There are no records.\n")
	}
	return write(s.out, b.String())
}
