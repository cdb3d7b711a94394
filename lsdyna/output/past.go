// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// PastRun is one of the runs in a folder: what it began with, and how it ended. Nomad
// keeps the last ten events of a task only.
type PastRun struct {
	Run      string     `json:"run"` // <alloc id>/<task>/<invocation>
	Job      string     `json:"job_id,omitempty"`
	Node     string     `json:"node,omitempty"`
	Started  time.Time  `json:"started_at"`
	Restart  string     `json:"restart,omitempty"`      // as the job said: auto, never or a dump
	Began    string     `json:"began"`                  // with which dump, which ones were passed over, and why
	Ended    *time.Time `json:"ended_at"`               // null: it lives, or nobody saw its end
	Outcome  Kind       `json:"outcome,omitempty"`      // "" before its end
	Reason   string     `json:"reason,omitempty"`       // of the outcome
	ExitCode *int       `json:"exit_code"`              // null: not known
	Signal   int        `json:"signal,omitempty"`       // that ended it
	Dump     string     `json:"restart_file,omitempty"` // newest dump, by the solver's own lines
}

// String says it in one line, for people.
func (p PastRun) String() string {
	const minute = "2006-01-02 15:04:05"
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", p.Started.Local().Format(minute), p.Began)
	switch {
	case p.Ended == nil:
		return b.String()
	case p.Reason == "":
		fmt.Fprintf(&b, "; ended %s", p.Ended.Local().Format(minute))
	default:
		fmt.Fprintf(&b, "; ended %s, %s", p.Ended.Local().Format(minute), p.Reason)
	}
	if name := unix.SignalName(unix.Signal(p.Signal)); p.Signal != 0 && !strings.Contains(p.Reason, name) {
		fmt.Fprintf(&b, " (signal %d, %s)", p.Signal, name)
	}
	if p.Dump != "" {
		fmt.Fprintf(&b, "; newest dump %s", p.Dump)
	}
	return b.String()
}
