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
	if _, ok := errors.AsType[*reap.AmbiguousError](err); ok {
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
