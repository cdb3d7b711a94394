// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lead

import (
	"errors"
	"fmt"

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
	var stopped *StoppedError
	if errors.As(err, &stopped) {
		end.Kind, end.Reason = output.Stopped, "stopped: "+end.Reason
	}
	return end
}
