// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package monotonic turns times in records into this process's monotonic clock. Those in
// records are by the wall clock, which steps when somebody sets it or when a time server is
// reached late after a boot. What ends a run must not go by such a step.
package monotonic

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// StartedAt returns when a run began: by its process's start, which the kernel
// counts from the boot, and where that is not known by the record.
func StartedAt(rec pidfile.Record, recorded time.Time) time.Time {
	age, ok := processAge(rec)
	if !ok {
		age = time.Since(recorded)
	}
	return time.Now().Add(-age)
}

// processAge is how long ago a record's process started; false where it was
// before the last boot, or is not known.
func processAge(rec pidfile.Record) (time.Duration, bool) {
	boot, err := procfs.BootID("/proc")
	if err != nil || rec.BootID != boot || rec.StartTime == 0 {
		return 0, false
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0, false
	}
	const tick = time.Second / 100 // USER_HZ: 100 wherever Nomad runs
	return max(time.Duration(now.Nano())-time.Duration(rec.StartTime)*tick, 0), true
}

// ResumedDeadline is the deadline of a stop that an earlier plugin began: what is
// left of its time, but least at least unless it had less from the start, and
// never more than it had.
func ResumedDeadline(order state.Stop, now time.Time, least time.Duration) time.Time {
	whole := order.Deadline.Sub(order.Began)
	left := min(max(order.Deadline.Sub(now), min(least, whole)), whole)
	return now.Add(left)
}
