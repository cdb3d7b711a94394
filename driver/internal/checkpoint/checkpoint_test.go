// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package checkpoint

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// clock is a time so many minutes after the solver's start.
func clock(minutes int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(minutes) * time.Minute)
}

func TestSchedule_Due(t *testing.T) {
	const hour = time.Hour
	solving := Run{Began: clock(0), Solves: true}
	at := func(minutes int, change func(*Run)) Run {
		r := solving
		r.Now = clock(minutes)
		if change != nil {
			change(&r)
		}
		return r
	}
	for name, c := range map[string]struct {
		every time.Duration
		looks []Run // the last is the one that counts
		due   bool
	}{
		"no interval":                     {0, []Run{at(1, nil), at(999, nil)}, false},
		"not yet":                         {hour, []Run{at(1, nil), at(60, nil)}, false},
		"an hour after it began to solve": {hour, []Run{at(1, nil), at(61, nil)}, true},
		"it does not solve yet":           {hour, []Run{at(200, func(r *Run) { r.Solves = false })}, false},
		"it has just begun to solve":      {hour, []Run{at(5, func(r *Run) { r.Solves = false }), at(200, nil)}, false},
		"it is being stopped":             {hour, []Run{at(1, nil), at(90, func(r *Run) { r.Solves = false })}, false},
		"another switch is on its way":    {hour, []Run{at(1, nil), at(90, func(r *Run) { r.Busy = true })}, false},
		"a dump half an hour ago":         {hour, []Run{at(1, nil), at(90, func(r *Run) { r.Dump = clock(60) })}, false},
		"a dump an hour ago":              {hour, []Run{at(1, nil), at(120, func(r *Run) { r.Dump = clock(60) })}, true},
		"a dump of the run before it":     {hour, []Run{at(1, nil), at(30, func(r *Run) { r.Dump = clock(-500) })}, false},
		"adopted, with a dump":            {hour, []Run{at(500, func(r *Run) { r.Adopted, r.Dump = true, clock(450) })}, false},
		"adopted, with an old dump":       {hour, []Run{at(500, func(r *Run) { r.Adopted, r.Dump = true, clock(440) })}, true},
		"adopted, without a dump":         {hour, []Run{at(500, func(r *Run) { r.Adopted = true })}, true},
		"adopted before it began":         {hour, []Run{at(-500, func(r *Run) { r.Adopted = true }), at(-440, func(r *Run) { r.Adopted = true })}, true},
		"adopted early, without a dump":   {hour, []Run{at(50, func(r *Run) { r.Adopted = true })}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := Schedule{Every: c.every}
			due := false
			for _, r := range c.looks {
				due = s.Due(r)
			}
			must.Eq(t, c.due, due)
		})
	}
}

// A plugin that is restarted more often than the interval must not put it off.
func TestSchedule_HoldsOverRestarts(t *testing.T) {
	var written []int
	dump := time.Time{}
	for minute := 0; minute < 300; minute += 10 { // a new plugin every ten minutes
		s := Schedule{Every: time.Hour}
		if s.Due(Run{Now: clock(minute), Began: clock(0), Adopted: minute > 0, Solves: true, Dump: dump}) {
			written, dump = append(written, minute), clock(minute)
		}
	}
	must.Eq(t, []int{60, 120, 180, 240}, written)
}

func TestSchedule_AfterATryThatCameToNothing(t *testing.T) {
	run := func(minute int) Run { return Run{Now: clock(minute), Began: clock(0), Solves: true} }
	s := Schedule{Every: time.Hour}
	must.False(t, s.Due(run(0)))
	must.True(t, s.Due(run(60)))
	s.Asked(clock(60))
	must.False(t, s.Due(run(61)))
	must.True(t, s.Due(run(120)))
	s.Failed(clock(120))
	must.False(t, s.Due(run(120)))
	must.True(t, s.Due(run(121)))

	s = Schedule{Every: time.Second}
	s.Failed(clock(0))
	must.False(t, s.Due(run(0)))
	must.True(t, s.Due(run(1)))
}

func TestTold_LeavesRoomForOtherEvents(t *testing.T) {
	told := 0
	for n := range 5000 {
		if Told(n + 1) {
			told++
		}
	}
	must.Eq(t, 4, told)
	for n, want := range map[int]bool{0: false, 1: true, 2: false, 10: true, 20: false, 100: true, 110: false} {
		must.Eq(t, want, Told(n), must.Sprint(n))
	}
}

func TestDescribe(t *testing.T) {
	must.Eq(t, "Checkpoint: dump d3dump01 written; one every 1h, the newest 2 are kept; of the next ones only the 10th is told", Describe(1, "dump d3dump01 written", time.Hour, 2))
	must.Eq(t, "Checkpoint 10: dump d3dump10 written; of the next ones only the 100th is told", Describe(10, "dump d3dump10 written", time.Hour, 2))
	must.Eq(t, "Checkpoint 2: dump d3dump02 written; of the next ones only the 10th is told", Describe(2, "dump d3dump02 written", time.Hour, 2), must.Sprint("after one that failed"))
	must.Eq(t, "Checkpoint 37: dump d3dump37 written; of the next ones only the 100th is told", Describe(37, "dump d3dump37 written", time.Hour, 2))
	for d, want := range map[time.Duration]string{90 * time.Minute: "1h30m", 30 * time.Second: "30s", 10 * time.Minute: "10m", 2 * time.Hour: "2h", 61 * time.Second: "1m1s"} {
		must.Eq(t, want, interval(d))
	}
	must.Eq(t, "is", newest(1))
}
