// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package verdict is how a run ended and what Nomad is told of it, by what the solver
// wrote, how it exited, and why the driver ended it. It touches nothing.
package verdict

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/signals"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/workplace"
)

// Exit is what is known of the solver's end.
type Exit struct {
	output.Exit
	Rebooted bool // the machine was started since
	Finished time.Time
}

// At is when the solver ended, as far as that is known.
func (e Exit) At() time.Time {
	if e.Finished.IsZero() {
		return time.Now()
	}
	return e.Finished
}

// Clean reports whether the solver ended of its own accord and without an error.
func (e Exit) Clean() bool { return e.Known && e.Code == 0 && e.Signal == 0 }

// Cause is why the driver itself ends a run; zero where it does not.
type Cause struct {
	Kind   output.Kind `json:"kind"`
	Reason string      `json:"reason"`
	Model  bool        `json:"model,omitempty"` // it is the model's doing: the run would come to it again from its dump
}

// Decide makes the outcome of what the solver wrote, how it exited, and why the driver
// ended it. unread says why not all of its outputs could be read, and folder where they
// are.
func Decide(s output.Snapshot, exit Exit, why Cause, unread error, folder string) output.Outcome {
	o := output.Decide(s, exit.Exit)
	var gone *workplace.GoneError
	switch {
	case why.Reason != "" && !o.Success(): // it may have come to its end before it was ended
		o = output.Outcome{Kind: why.Kind, Reason: why.Reason, FirstError: o.FirstError, RestartFile: o.RestartFile}
	case errors.As(unread, &gone):
		o = output.Outcome{Kind: output.Unknown, Reason: "unknown: " + gone.Lost() + lastKnown(s)}
	case errors.Is(unread, fs.ErrNotExist) && !exit.Rebooted:
		o = output.Outcome{Kind: output.Unknown, Reason: fmt.Sprintf("unknown: outputs unreadable: the run folder %s is not there any more: was it removed, or is its file system not mounted?%s", folder, lastKnown(s))}
	case unread != nil && !exit.Rebooted:
		o = output.Outcome{Kind: output.Unknown, Reason: "unknown: outputs unreadable: " + unread.Error()}
	case exit.Rebooted:
		if unread != nil {
			o.Reason = "outputs unreadable: " + unread.Error()
		}
		o = output.Outcome{Kind: output.Unknown, Reason: "host rebooted, solver lost; last known: " + o.Reason}
	}
	return o
}

// lastKnown is what was known of a run before its outputs were lost.
func lastKnown(s output.Snapshot) string {
	if !s.HasTime {
		return ""
	}
	return "; last known: " + s.Summary()
}

// OfFollower is how the task of a node ends that does not lead, by what the leading node
// told. unread says why that is not known.
func OfFollower(told nodes.Ended, unread error, exit Exit, why Cause) output.Outcome {
	switch {
	case why.Reason != "":
		return output.Outcome{Kind: why.Kind, Reason: why.Reason}
	case rundir.Unreadable(unread):
		return output.Outcome{Kind: output.Unknown, Reason: fmt.Sprintf("unknown: cannot read what the leading node told of the end: %v", unread)}
	case unread != nil && exit.OOMKilled:
		return output.Outcome{Kind: output.Killed, Reason: "this node's part of the run ran out of memory"}
	case unread != nil && exit.Signal != 0:
		return output.Outcome{Kind: output.Killed, Reason: "this node's part of the run was ended by " + unix.SignalName(syscall.Signal(exit.Signal))}
	case unread != nil:
		return output.Outcome{Kind: output.Killed, Reason: fmt.Sprintf("this node's part of the run ended, and the leading node did not tell why: %v", unread)}
	case told.Leader != "":
		return output.Outcome{Kind: told.Kind, Reason: fmt.Sprintf("by the leading node %s: %s", told.Leader, told.Reason)}
	}
	return output.Outcome{Kind: told.Kind, Reason: told.Reason}
}

// DumpIsBad reports whether a run ended of its own doing before it got beyond the
// problem time of its dump: an error, a crash, or silence. What others did to it (a
// stop, a kill, no licence, no memory) says nothing about its dump. stopped says that
// somebody, or the driver, ended it. A solver that refuses its input prints a problem
// time as well, 0.
func DumpIsBad(dumped float64, s output.Snapshot, exit output.Exit, o output.Outcome, stopped bool) bool {
	switch {
	case s.HasTime && s.Time > dumped, stopped, exit.OOMKilled:
		return false
	case o.Kind == output.Failed:
		return true
	case o.Kind == output.Killed:
		sig := exit.Signal
		if sig == 0 && exit.Code > 128 { // passed on by a shell or mpirun
			sig = exit.Code - 128
		}
		return signals.IsCrash(sig)
	}
	return o.Kind == output.Unknown && exit.Known
}
