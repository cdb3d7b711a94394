// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package recovery

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

const (
	same  = "Restored core 3 from the pid file"
	other = "Restored core 3 from the driver state"
)

func TestNote_TellsWhatChangesAndEverFewerOfTheSame(t *testing.T) {
	r := &state.Record{Dir: t.TempDir()}
	began := time.Date(2026, 11, 30, 2, 33, 0, 0, time.UTC)
	note := func(i int, words string) string {
		n, event, err := note(r, words, words != other, began.Add(time.Duration(i)*time.Minute))
		must.NoError(t, err)
		n.Due = false // it is heard
		must.NoError(t, r.WriteRecoveries(n))
		return event
	}
	told := map[int]string{}
	for i := 1; i <= 100; i++ {
		if event := note(i, same); event != "" {
			told[i] = event
		}
	}
	must.Eq(t, map[int]string{
		1: same, 10: same + ", 10 times in a row; the next such event is the 100th's",
		100: same + ", 100 times in a row; the next such event is the 1000th's",
	}, told)
	n := r.ReadRecoveries()
	must.Eq(t, 100, n.Count)
	must.True(t, n.First.Equal(began.Add(time.Minute)))
	must.True(t, n.Last.Equal(began.Add(100*time.Minute)))

	must.Eq(t, other, note(101, other))
	must.Eq(t, other, note(102, other), must.Sprint("what is not as before is always told"))
	must.Eq(t, same, note(103, same))
	must.Eq(t, "", note(104, same))
	must.Eq(t, 104, r.ReadRecoveries().Count)
}

// stream hears what it is told, or not.
type stream struct {
	told  []string
	heard bool
}

func (s *stream) Emit(words string) string         { s.told = append(s.told, words); return words }
func (s *stream) AwaitPassed(context.Context) bool { return s.heard }

// An event is on its way when the plugin is killed: the next one tells it.
func TestTell_WhatNobodyHeardIsToldAgain(t *testing.T) {
	r := &state.Record{Dir: t.TempDir()}
	var s stream
	tell := func(heard bool) {
		s.heard = heard
		if wait := Tell(r, &s, same, true, hclog.NewNullLogger()); wait != nil {
			wait(t.Context())
		}
	}
	tell(false)
	tell(false)
	tell(true)
	tell(true)
	must.Eq(t, []string{
		same, same + ", 2 times in a row; the next such event is the 10th's",
		same + ", 3 times in a row; the next such event is the 10th's",
	}, s.told)
	for range 5 {
		tell(true)
	}
	must.Len(t, 3, s.told)
	tell(false)
	tell(true)
	must.Eq(t, []string{
		same + ", 10 times in a row; the next such event is the 100th's",
		same + ", 11 times in a row; the next such event is the 100th's",
	}, s.told[3:])

	// Another plugin has counted on meanwhile: what it wrote stays.
	late := &stream{heard: true}
	wait := Tell(r, late, other, false, hclog.NewNullLogger())
	tell(true)
	wait(t.Context())
	must.Eq(t, 13, r.ReadRecoveries().Count)
	must.Eq(t, same, r.ReadRecoveries().Words)
}

func TestNote_TellsWhatCannotBeCounted(t *testing.T) {
	_, event, err := note(nil, same, true, time.Now())
	must.NoError(t, err)
	must.Eq(t, same, event)
	gone := &state.Record{Dir: filepath.Join(t.TempDir(), "gone")}
	for range 2 {
		_, event, err = note(gone, same, true, time.Now())
		must.ErrorIs(t, err, os.ErrNotExist)
		must.Eq(t, same, event)
	}
}

func TestNote_CountsAnewWhereTheCountIsDamaged(t *testing.T) {
	for name, damage := range map[string]string{
		"cut": "{", "empty": "", "nonsense": `{"count":-3,"same":-9,"words":"` + same + `"}`, "a list": "[1]",
	} {
		t.Run(name, func(t *testing.T) {
			r := &state.Record{Dir: t.TempDir()}
			must.NoError(t, os.WriteFile(filepath.Join(r.Dir, "recoveries.json"), []byte(damage), 0o600))
			_, event, err := note(r, same, true, time.Now())
			must.NoError(t, err)
			must.Eq(t, same, event)
			must.Eq(t, 1, r.ReadRecoveries().Count)
		})
	}
}
