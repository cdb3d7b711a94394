// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/reap"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/statedir"
)

const reapHelp = `USAGE
  nomad-driver-lsdyna reap [-state-dir DIR] [-dry-run] [-json]
      [-kill ALLOC/TASK [-insist] [-dump DURATION]]

DESCRIPTION
  Removes the records of runs that Nomad forgot, and leaves all others alone. A
  record goes only when it is proven that its run is over, and that nobody will
  ask how it ended:

    over       Nobody holds the record's lock, and its solver's exit is on record,
               or its pid with this start time and boot is gone, or the machine
               was started since; and nothing is left in its cgroup.
    forgotten  The plugin that runs was not asked for it by Nomad for two minutes,
               or the folder of its allocation is gone from Nomad's data_dir (mount
               points may be left of it), or the machine was started since and no
               exit was recorded, or nothing was ever started in it.

  A solver that lives is never touched, whoever started it, unless -kill names
  it. The plugin may run meanwhile.

OPTIONS
  -state-dir DIR    The agent's state_dir, where it is not found; see help help.
  -dry-run          Only tell what would be done.
  -kill ALLOC/TASK  End this task when its supervisor or its allocation is gone: its
                    solver is asked for a dump by the job's sense switch, and what
                    lives then is killed, through its cgroup. The cgroups that Nomad
                    left are removed. A task that Nomad knows and that has its
                    supervisor is for "nomad alloc stop". ALLOC may be the beginning
                    of an allocation's id.
  -insist           With -kill: end it although Nomad may know it.
  -dump DURATION    With -kill: how long the solver has for its dump (10m). 0s asks
                    for none.
  -json             An object with records (job_id, alloc_id, task, invocation,
                    state, action, why) and notes. action is removed, ended or
                    kept; with -dry-run would_remove and would_end.

EXIT STATUS
  0; 1 when records cannot be read or removed, or a task could not be ended; 2 for
  a wrong call.
`

func runReap(ctx context.Context, args []string, s streams) error {
	fs := newFlags("reap")
	agent := statedir.Flag(fs)
	dryRun := fs.Bool("dry-run", false, "")
	kill := fs.String("kill", "", "")
	insist := fs.Bool("insist", false, "")
	dump := fs.Duration("dump", 10*time.Minute, "")
	asJSON := fs.Bool("json", false, "")
	if err := parseOnly(fs, args); err != nil {
		return err
	}
	if alloc, task, ok := strings.Cut(*kill, "/"); *kill != "" && (!ok || alloc == "" || task == "") {
		return usagef("-kill takes ALLOC/TASK, as status shows them, not %q", *kill)
	}
	if *insist && *kill == "" {
		return usagef("-insist goes with -kill ALLOC/TASK")
	}
	store, err := node.OpenState(agent.Dir())
	if err != nil {
		return err
	}
	var notes []string
	records, err := store.Records()
	if err != nil {
		notes = append(notes, fmt.Sprintf("some records cannot be read: %v", err))
	}
	report, err := reap.Run(ctx, records, reap.Options{DryRun: *dryRun, Kill: *kill, Insist: *insist, Dump: *dump})
	var ambiguous *reap.AmbiguousError
	if errors.As(err, &ambiguous) {
		return usagef("-kill %s", screen.Clean(err.Error()))
	}
	if err != nil {
		return err
	}
	report.Notes = slices.Insert(report.Notes, 0, notes...)
	if *asJSON {
		err = writeJSON(s.out, report)
	} else {
		err = write(s.out, formatReap(report))
	}
	if err == nil && report.Failed {
		return errAnswerNo
	}
	return err
}

// formatReap writes a line for each record.
func formatReap(report reap.Report) string {
	if len(report.Records) == 0 && len(report.Notes) == 0 {
		return "There are no records.\n"
	}
	var b strings.Builder
	for _, note := range report.Notes {
		fmt.Fprintf(&b, "%s\n", screen.Clean(note))
	}
	for _, row := range report.Records {
		fmt.Fprintf(&b, "%-12s %s/%s/%s  %s  %s: %s\n", strings.ReplaceAll(row.Action, "_", " "),
			screen.Clean(row.AllocID), screen.Clean(row.Task), screen.Clean(row.Invocation),
			screen.Clean(cmp.Or(row.JobID, "-")), row.State, screen.Clean(row.Why))
	}
	return b.String()
}
