// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

func TestLife_Phases(t *testing.T) {
	for name, c := range map[string]struct {
		from   Phase
		events []event
		want   []string // after each event: the phase, and whether it was the first of its kind
	}{
		"started, ends by itself":           {Attached, []event{leave, conclude}, []string{"gone first", "ended first"}},
		"started, stopped":                  {Attached, []event{stop, leave, conclude}, []string{"stopping first", "gone first", "ended first"}},
		"stopped twice":                     {Attached, []event{stop, stop}, []string{"stopping first", "stopping"}},
		"adopted, then asked for":           {Adopted, []event{attach, attach}, []string{"attached first", "attached"}},
		"adopted in the middle of a stop":   {Adopted, []event{stop, attach, leave}, []string{"stopping first", "stopping first", "gone first"}},
		"over before Nomad asks":            {Adopted, []event{leave, attach, attach, conclude}, []string{"gone first", "gone first", "gone", "ended first"}},
		"stopped when it is gone":           {Attached, []event{leave, stop, conclude}, []string{"gone first", "gone", "ended first"}},
		"everything again when it is ended": {Attached, []event{leave, conclude, attach, stop, leave, conclude}, []string{"gone first", "ended first", "ended", "ended", "ended", "ended"}},
		"no result while processes live":    {Attached, []event{conclude}, []string{"error"}},
		"none while it is being stopped":    {Attached, []event{stop, conclude}, []string{"stopping first", "error"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLife(c.from)
			var got []string
			for _, e := range c.events {
				first, err := l.advance(e)
				text := l.phase.String()
				if first {
					text += " first"
				}
				if err != nil {
					text = "error"
				}
				got = append(got, text)
				must.Eq(t, l.phase >= Gone, closed(l.gone))
				must.Eq(t, l.phase == Ended, closed(l.ended))
			}
			must.Eq(t, c.want, got)
		})
	}
}

// Every event has a place in every phase, or cannot happen there.
func TestLife_EveryEventInEveryPhase(t *testing.T) {
	for p := Adopted; p <= Ended; p++ {
		for e := attach; e <= conclude; e++ {
			to, ok := next[p][e]
			must.Eq(t, e != conclude || p >= Gone, ok, must.Sprint(p, e))
			must.False(t, ok && to < p, must.Sprint(fmt.Sprintf("event %d leads back from %s to %s", e, p, to)))
		}
	}
	must.Eq(t, "Phase(7)", Phase(7).String())
}

func TestLife_ResultIsFinal(t *testing.T) {
	l := newLife(Attached)
	now := time.Now()
	l.conclude(&drivers.ExitResult{ExitCode: 1}, output.Outcome{}, now)
	must.False(t, closed(l.ended), must.Sprint("its processes live"))
	_, err := l.advance(leave)
	must.NoError(t, err)
	l.conclude(&drivers.ExitResult{ExitCode: 2}, output.Outcome{}, now)
	l.conclude(&drivers.ExitResult{ExitCode: 3}, output.Outcome{}, now)
	r, at := l.final()
	must.Eq(t, 2, r.ExitCode)
	must.Eq(t, now, at)
}

func TestLife_DriverEndsNoRunThatSomebodyStops(t *testing.T) {
	c := verdict.Cause{Kind: output.LicenceError, Reason: "no licence"}
	l := newLife(Attached)
	must.True(t, l.endFor(c))
	must.False(t, l.endFor(c), must.Sprint("once"))
	must.Eq(t, c, l.why())
	for _, e := range []event{stop, leave} {
		l := newLife(Attached)
		_, err := l.advance(e)
		must.NoError(t, err)
		must.False(t, l.endFor(c))
		must.Eq(t, verdict.Cause{}, l.why())
	}
}
