// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/past"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/statedir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/history"
)

const historyHelp = `USAGE
  nomad-driver-lsdyna history [-job PATTERN] [-user PATTERN] [-solver PATTERN]
      [-outcome completed|stopped|error|license|killed|unknown]
      [-namespace PATTERN] [-alloc ID] [-since TIME] [-until TIME]
      [-last N] [-why] [-json] [-state-dir DIR]

DESCRIPTION
  Lists the runs that ended on this node, the newest last, and sums up their core
  hours by outcome. Each run that was started is there once, whoever saw its end,
  for longer than Nomad, its allocation and its events are: the last 40,000 runs or
  so. Core hours are the cores that the run had times its wall time.

  Of a run over several nodes each node has the entry of its own part; the run is
  counted where it was led.

  It has to run as the agent's user, usually root.

OPTIONS
  -job, -user, -solver, -namespace PATTERN
                  Only runs with such a name. * and ? stand for any text.
  -alloc ID       Only runs of this allocation; the beginning of its ID will do.
  -outcome OUTCOME
                  Only completed, stopped, error, license, killed or unknown ones.
  -since, -until TIME
                  Only runs that ended then: 2026-11-29, "2026-11-29 15:04",
                  2026-11-29T15:04:05Z, or how long ago: 90m, 12h, 30d.
  -last N         Only the last N of these. Sums are over those that are shown.
  -why            With the reason of each outcome.
  -json           An object with runs (run, namespace, job_id, alloc_id, task, node,
                  user, solver, solver_version, parallel, precision, input, run_dir,
                  cores, core_seconds, licences, licence, outcome, reason,
                  exit_code, signal, time, end_time, cycle, errors, warnings,
                  restart, restart_file, started_at, ended_at, noted_at, ...) and
                  sums (outcome, runs, core_hours). What is not known is null or
                  left out.
  -state-dir DIR  The agent's state_dir, where it is not found; see help help.

EXIT STATUS
  0, also where no run is found; 1 when the history cannot be read; 2 for a wrong
  call.

EXAMPLES
  nomad-driver-lsdyna history -since 30d -user dora
  nomad-driver-lsdyna history -outcome error -why -last 5
  nomad-driver-lsdyna history -json | jq '.sums[] | select(.outcome=="killed")'
`

// historyReport is what history -json prints.
type historyReport struct {
	Runs []history.Entry `json:"runs"`
	Sums []past.Sum      `json:"sums"`
}

func runHistory(_ context.Context, args []string, s streams) error {
	fs := newFlags("history")
	var f past.Filter
	patterns := map[string]*past.Pattern{
		"job": &f.Job, "user": &f.User, "solver": &f.Solver, "namespace": &f.Namespace, "alloc": &f.Alloc, "outcome": &f.Outcome,
	}
	for name, p := range patterns {
		fs.StringVar((*string)(p), name, "", "")
	}
	since, until := fs.String("since", "", ""), fs.String("until", "", "")
	last := fs.Int("last", 0, "")
	why, asJSON := fs.Bool("why", false, ""), fs.Bool("json", false, "")
	agent := statedir.Flag(fs)
	if err := parseOnly(fs, args); err != nil {
		return err
	}
	for name, p := range patterns {
		if err := p.Check("-" + name); err != nil {
			return usagef("%v", err)
		}
	}
	now := time.Now()
	var errs [3]error
	f.Since, errs[0] = past.ParseTime("-since", *since, now)
	f.Until, errs[1] = past.ParseTime("-until", *until, now)
	if f.Outcome != "" {
		errs[2] = past.CheckOutcome(f.Outcome)
	}
	for _, err := range errs {
		if err != nil {
			return usagef("%v", err)
		}
	}
	if *last < 0 {
		return usagef("-last %d: name how many runs, 1 or more; without it all are shown", *last)
	}
	runs, err := readHistory(agent.Dir(), &f, *last, s)
	if err != nil {
		return err
	}
	sums := past.Add(runs)
	if *asJSON {
		return writeJSON(s.out, historyReport{runs, sums})
	}
	out := screen.Of(s.out)
	return write(s.out, out.Render(past.Draw(runs, sums, *why, out)))
}

// readHistory reads the runs that are asked for, and says what cannot be read.
func readHistory(dir string, f *past.Filter, last int, s streams) ([]history.Entry, error) {
	store, err := node.OpenState(dir)
	if err != nil {
		return nil, err
	}
	all, err := history.Read(store.Dir())
	if err != nil {
		return nil, err
	}
	if all.Damaged > 0 {
		fmt.Fprintf(s.err, "%s history: %s cannot be read, as after a power cut, and left out\n", program, screen.Plural(all.Damaged, "line"))
	}
	runs := f.Select(all.Entries)
	if last > 0 {
		runs = runs[max(len(runs)-last, 0):]
	}
	if runs == nil {
		runs = []history.Entry{} // null is no list
	}
	return runs, nil
}
