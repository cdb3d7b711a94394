// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import "time"

// A rateLimiter lets the first few of a row of events through, and then fewer and
// fewer, until none has come for a while.
type rateLimiter struct {
	passed int
	next   time.Time
	missed int
}

const (
	limiterBurst = 3
	limiterPause = time.Minute // after the burst; doubles with each event
	limiterMost  = time.Hour
	limiterQuiet = 10 * time.Minute // after the pause: the next event counts as the first of a row
)

// allow reports whether an event is to be told, and how many since the last one
// were not.
func (l *rateLimiter) allow(now time.Time) (missed int, ok bool) {
	if l.passed > 0 && now.Sub(l.next) > limiterQuiet {
		*l = rateLimiter{}
	}
	if l.passed >= limiterBurst && now.Before(l.next) {
		l.missed++
		return 0, false
	}
	missed, l.missed = l.missed, 0
	l.passed++
	l.next = now
	if over := l.passed - limiterBurst; over >= 0 {
		l.next = now.Add(min(limiterPause<<min(over, 10), limiterMost))
	}
	return missed, true
}
