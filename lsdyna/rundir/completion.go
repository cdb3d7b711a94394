// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"cmp"
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/deck"
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

// HasCompleted reports whether a deck is the one of the completed run, as far as can be
// told: a file of it may be away.
func (r Record) HasCompleted(d deck.Deck) bool {
	return r.Completed != nil && (r.Completed.Deck == "" || r.Completed.Deck == d.Hash || r.Lost(d) != "")
}

// IsTask reports whether the run was of this task of this job, whatever the allocation.
func (c *Completion) IsTask(namespace, job, task string) bool {
	return c.Namespace == namespace && c.Job == job && c.Task == task
}

// NoteRestarted notes in a folder's record that Nomad has started the task again that
// completed its run there.
func (f *Folder) NoteRestarted() error {
	r, err := f.ReadRecord()
	if err != nil || r.Completed == nil || r.Completed.Restarted {
		return err
	}
	r.Completed.Restarted = true
	return f.WriteRecord(r)
}

// String names the run.
func (c *Completion) String() string {
	return fmt.Sprintf("the completed run of job %s (allocation %s, task %s, finished at %s)",
		cmp.Or(c.Job, "unknown"), c.Alloc, c.Task, c.Finished.Local().Format(time.DateTime))
}
