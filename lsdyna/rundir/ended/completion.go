// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package ended is what the record in a run folder says of its last run, where that is not
// to be gone on with: it was completed, or stopped for what its model does. It touches
// nothing.
package ended

import (
	"cmp"
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// Completion is what a folder's record says of a run that LS-DYNA completed there.
type Completion struct {
	Namespace string    `json:"namespace,omitempty"`
	Job       string    `json:"job,omitempty"`
	Alloc     string    `json:"alloc"`
	Task      string    `json:"task"`
	Reason    string    `json:"reason"` // the outcome in one line
	Finished  time.Time `json:"finished"`
	Deck      string    `json:"deck,omitempty"`      // Identity.Deck; "" where nobody had read it
	From      string    `json:"from,omitempty"`      // dump with which the run began, where its job named one
	Restarted bool      `json:"restarted,omitempty"` // Nomad has started the task again since

	// The exit, as far as somebody saw it.
	ExitKnown bool `json:"exit_known,omitempty"`
	Code      int  `json:"code,omitempty"`
	Signal    int  `json:"signal,omitempty"`
	OOMKilled bool `json:"oom_killed,omitempty"`
}

// Exit is how the run's main process ended.
func (c *Completion) Exit() output.Exit {
	return output.Exit{Known: c.ExitKnown, Code: c.Code, Signal: c.Signal, OOMKilled: c.OOMKilled}
}

// NomadRepeats reports whether Nomad may start a task again by itself that ended so: it
// has done so, or it was told of a failure.
func (c *Completion) NomadRepeats() bool {
	return c.Restarted || !c.ExitKnown || c.Code != 0 || c.Signal != 0 || c.OOMKilled
}

// IsTask reports whether the run was of this task of this job, whatever the allocation.
func (c *Completion) IsTask(namespace, job, task string) bool {
	return c.Namespace == namespace && c.Job == job && c.Task == task
}

// String names the run.
func (c *Completion) String() string {
	return fmt.Sprintf("the completed run of job %s (allocation %s, task %s, finished at %s)",
		cmp.Or(c.Job, "unknown"), c.Alloc, c.Task, c.Finished.Local().Format(time.DateTime))
}
