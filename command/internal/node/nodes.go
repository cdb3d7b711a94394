// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package node

import (
	"fmt"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// Part says which part the task has of a run over several nodes, and which of its runs a
// process makes that makes several; "" where there is nothing to say.
func (t *Task) Part() string {
	text := t.share()
	if !t.Progress.Known {
		return text
	}
	s := &t.Progress.Snapshot
	if name := s.Case(); name != "" {
		if text != "" {
			text += "; "
		}
		text += name
		if s.Undone != nil {
			text += "; " + s.Undone.String()
		}
	}
	return text
}

// share says which part the task has of a run over several nodes, and what the leading
// node says of them; "" where the run is on one node.
func (t *Task) share() string {
	index, of := t.Details.NodeIndex, t.Details.Nodes
	if of < 2 {
		return ""
	}
	text := fmt.Sprintf("node %d of %d; node 0 leads", index, of)
	if index == 0 {
		text = fmt.Sprintf("node 0 of %d, which leads", of)
	}
	if !t.Progress.Known {
		return text
	}
	s := &t.Progress.Snapshot
	if s.Nodes == "" && index > 0 && s.Phase == output.PhaseStarting {
		return text + ": waiting for it"
	}
	separator := ": "
	for _, said := range []string{s.Nodes, s.NodesStop, s.NodesEnded} {
		if said != "" {
			text += separator + said
			separator = "; "
		}
	}
	return text
}

// nodesReport returns a task's part of a run over several nodes.
func nodesReport(t *Task) (r TaskNodes) {
	if t.Details.Nodes < 2 {
		return r
	}
	r.Nodes, r.NodeIndex = t.Details.Nodes, &t.Details.NodeIndex
	if t.Progress.Known {
		s := &t.Progress.Snapshot
		r.NodesText, r.NodesStop, r.NodesWaiting = s.Nodes, s.NodesStop, s.WaitsForNodes()
	}
	return r
}
