// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package past is what the history command shows of a node's history: which runs are
// asked for, what they come to, and how they are drawn.
package past

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/history"
)

// Filter says which runs are asked for. Empty fields ask for all.
type Filter struct {
	Job, Namespace, User, Solver, Alloc, Outcome Pattern

	Since, Until time.Time // by the end of a run; zero: all
}

// Pattern is a text that may have wildcards, as in a shell.
type Pattern string

// Check returns an error that says what to write instead.
func (p Pattern) Check(flag string) error {
	if _, err := path.Match(string(p), ""); err != nil {
		return fmt.Errorf("%s %q is no pattern: write * and ? for any text, or \\[ for a bracket", flag, string(p))
	}
	return nil
}

func (p Pattern) matches(text string) bool {
	if p == "" {
		return true
	}
	ok, err := path.Match(string(p), text)
	return ok && err == nil
}

// outcomes are those of runs that are over, in the order in which they are shown.
var outcomes = []output.Kind{output.Completed, output.Stopped, output.Failed, output.LicenceError, output.Killed, output.Unknown}

// Outcomes are the names of all outcomes.
func Outcomes() []string {
	names := make([]string, len(outcomes))
	for i, o := range outcomes {
		names[i] = string(o)
	}
	return names
}

// CheckOutcome returns an error for an outcome that no run has.
func CheckOutcome(p Pattern) error {
	if slices.ContainsFunc(Outcomes(), p.matches) {
		return nil
	}
	return fmt.Errorf("-outcome %q is none: it is one of %s", string(p), strings.Join(Outcomes(), ", "))
}

// Select returns the runs that are asked for.
func (f *Filter) Select(all []history.Entry) []history.Entry {
	var found []history.Entry
	for i := range all {
		if f.wants(&all[i]) {
			found = append(found, all[i])
		}
	}
	return found
}

func (f *Filter) wants(e *history.Entry) bool {
	at := e.When()
	return f.Job.matches(e.JobID) && f.Namespace.matches(e.Namespace) && f.User.matches(e.User) && f.Solver.matches(e.Solver) &&
		(f.Alloc.matches(e.AllocID) || f.Alloc != "" && strings.HasPrefix(e.AllocID, string(f.Alloc))) && f.Outcome.matches(e.Outcome) &&
		(f.Since.IsZero() || !at.Before(f.Since)) && (f.Until.IsZero() || at.Before(f.Until))
}

// layouts are the ways to write a time, in the machine's time zone where none is in it.
var layouts = []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly}

// ParseTime reads a time, or how long ago it was: 2026-11-29, "2026-11-29 15:04", 12h, 30d.
// A day without a time is its beginning.
func ParseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%s %q is no time: write a day (2026-11-29), a time (\"2026-11-29 15:04\", 2026-11-29T15:04:05Z), or how long ago it was (90m, 12h, 30d)", flag, text)
}
