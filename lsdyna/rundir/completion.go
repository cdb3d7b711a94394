// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

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

// String names the run.
func (c *Completion) String() string {
	return fmt.Sprintf("the completed run of job %s (allocation %s, task %s, finished at %s)",
		cmp.Or(c.Job, "unknown"), c.Alloc, c.Task, c.Finished.Local().Format(time.DateTime))
}
