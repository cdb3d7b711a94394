// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lead

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/daemon"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// DiffersError says that a node is not of this run, or not as it must be.
type DiffersError struct{ What string }

func (e *DiffersError) Error() string {
	return "the nodes of a run must agree: " + e.What
}

// LostError says which node's part of a run is lost.
type LostError struct {
	Node member.Record
	Why  string
}

func (e *LostError) Error() string {
	return fmt.Sprintf("node %s (node %d of the run, allocation %s): %s", e.Node.Node, e.Node.Index, e.Node.Alloc, e.Why)
}

// StoppedError says who had the run end that did not fail.
type StoppedError struct{ Why string }

func (e *StoppedError) Error() string { return e.Why }

// endOf is what the nodes are told of an error.
func endOf(err error) daemon.End {
	end := daemon.End{Code: 1, Kind: output.Failed, Reason: err.Error()}
	if _, ok := errors.AsType[*StoppedError](err); ok {
		end.Kind, end.Reason = output.Stopped, "stopped: "+end.Reason
	}
	return end
}

// agentsLook is the time between two looks at what launch agents have told.
const agentsLook = 200 * time.Millisecond

// watchAgents ends the run when a launch agent could have nothing executed: Hydra does
// not notice that, and its ranks on the other nodes wait for ever.
func (l *Leader) watchAgents(ctx context.Context, followers []*follower, giveUp context.CancelCauseFunc) {
	look := time.NewTicker(agentsLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		for _, told := range member.AgentFailures(l.options.Folder, l.options.Self.Run) {
			if told.Node >= 1 && told.Node <= len(followers) {
				giveUp(&LostError{followers[told.Node-1].Record, "the MPI launcher's agent could start nothing there: " + told.Why})
				return
			}
		}
	}
}
