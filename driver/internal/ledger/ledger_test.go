// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"math"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/history"
)

var (
	began = time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	over  = began.Add(time.Hour)
	now   = began.Add(24 * time.Hour)
)

func TestEntry_coreHoursAreThoseOfTheRunWhoeverSawItsEnd(t *testing.T) {
	details := &state.Details{StartedAt: began, CoresAsked: 8}
	for name, c := range map[string]struct {
		end     End
		ended   *time.Time
		seconds float64
	}{
		"its supervisor saw it":                            {End{Exit: verdict.Exit{Finished: over}}, &over, 8 * 3600},
		"the same, found over a day later":                 {End{Exit: verdict.Exit{Finished: over}, Over: true}, &over, 8 * 3600},
		"on fewer cores than it asked for":                 {End{Exit: verdict.Exit{Finished: over}, Cores: 2}, &over, 2 * 3600},
		"its supervisor was killed, the plugin lived":      {End{}, &now, 8 * 24 * 3600},
		"nobody saw it":                                    {End{Over: true}, nil, 0},
		"nobody saw it, and the solver told its time":      {End{Over: true, Snapshot: output.Snapshot{Estimate: output.Estimate{Elapsed: time.Minute}}}, nil, 8 * 60},
		"the machine was started since":                    {End{Exit: verdict.Exit{Rebooted: true}}, nil, 0},
		"the clock was set back by more than the run took": {End{Exit: verdict.Exit{Finished: began.Add(-time.Hour)}}, new(began.Add(-time.Hour)), 0},
	} {
		t.Run(name, func(t *testing.T) {
			c.end.Details = details
			e := c.end.entry(now)
			must.Eq(t, c.ended, e.Ended)
			must.Eq(t, c.seconds, e.CoreSeconds)
			must.Eq(t, now, e.Noted)
		})
	}
}

func TestEntry_whatIsNotKnownIsNotInvented(t *testing.T) {
	e := End{ID: state.ID{Alloc: "a", Task: "t", Invocation: "i"}, Outcome: output.Outcome{Kind: output.Unknown}, Over: true}.entry(now)
	must.Eq(t, history.Entry{Run: "a/t/i", AllocID: "a", Task: "t", Outcome: "unknown", Noted: now}, e)
}

func TestEntry_tellsHowFarItCame(t *testing.T) {
	s := output.Snapshot{
		Header: output.Header{Version: "R14.0", Processors: 16}, Licence: output.Licence{LicenceGranted: true, LicenceKind: "network"},
		Progress: output.Progress{HasTime: true, Time: math.Inf(1), EndTime: 0.2, Cycle: 7},
	}
	e := End{Snapshot: s, Exit: verdict.Exit{Exit: output.Exit{Known: true, Code: 3}}}.entry(now)
	must.Eq(t, 16, e.Licences)
	must.Eq(t, "network", e.LicenceKind)
	must.Nil(t, e.Time) // JSON has no infinity
	must.Eq(t, 0.2, *e.EndTime)
	must.Eq(t, 7, *e.Cycle)
	must.Eq(t, 3, *e.ExitCode)
	s.LicenceGranted = false
	must.Zero(t, End{Snapshot: s}.entry(now).Licences)
}

func TestLedger_keepsWhatEndsBeforeItIsOpened(t *testing.T) {
	dir := t.TempDir()
	l := New(hclog.NewNullLogger())
	l.Note(End{ID: state.ID{Alloc: "a", Task: "t", Invocation: "i"}})
	l.Open(dir)
	runs, err := history.Read(dir)
	must.NoError(t, err)
	must.Len(t, 1, runs.Entries)
	(*Ledger)(nil).Note(End{})
}
