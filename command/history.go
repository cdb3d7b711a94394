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
