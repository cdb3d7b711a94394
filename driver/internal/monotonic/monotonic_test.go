// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package monotonic

import (
	"os"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

const leastGrace = 10 * time.Second

func TestResumedDeadline_NeverMoreThanTheStopHadAndSomeGraceWhateverTheClock(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct{ began, whole, left time.Duration }{
		"in time":                       {-time.Minute, 10 * time.Minute, 9 * time.Minute},
		"nearly over":                   {-59 * time.Second, time.Minute, leastGrace},
		"long over":                     {-time.Hour, time.Minute, leastGrace},
		"short from the start":          {-time.Hour, 2 * time.Second, 2 * time.Second},
		"the clock was set back":        {time.Hour, time.Minute, time.Minute},
		"the clock was set a day ahead": {-24 * time.Hour, time.Hour, leastGrace},
	} {
		t.Run(name, func(t *testing.T) {
			began := now.Add(c.began)
			order := state.Stop{Began: began, Deadline: began.Add(c.whole)}
			must.Eq(t, c.left, ResumedDeadline(order, now, leastGrace).Sub(now))
		})
	}
}

// A recovered run's age is that of its process: the recorded time is by a clock
// that may have been set since.
func TestStartedAt_GoesByTheProcessNotByTheClock(t *testing.T) {
	t.Parallel()
	self, err := procfs.StartTicks("/proc", os.Getpid())
	must.NoError(t, err)
	boot, err := procfs.BootID("/proc")
	must.NoError(t, err)
	yesterday := time.Now().Add(-24 * time.Hour).Round(0)
	rec := pidfile.Record{PID: os.Getpid(), StartTime: self, BootID: boot}
	old := func(rec pidfile.Record) bool { return time.Since(StartedAt(rec, yesterday)) > 23*time.Hour }
	must.False(t, old(rec))
	rec.BootID = "another boot's"
	must.True(t, old(rec))
	must.True(t, old(pidfile.Record{}))
}
