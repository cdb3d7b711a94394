// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
)

// What the leading node of a run over several nodes writes into the run's stdout before
// the solver does.
const (
	NodesLine    = " nomad-driver-lsdyna: "
	NodesWaiting = "waiting for "
	NodesThere   = "the run's nodes: "
	NodesLost    = "a part of the run is lost: "
	NodesStop    = "node %s is to stop its part of the run: "
	NodesStopped = "the run over several nodes was stopped: "
	NodesFailed  = "the run over several nodes failed: "
)

// NodesMark is a word by which lines of a leading node are told from what the solver
// prints, which repeats words of the deck: the node makes one for each run.
func NodesMark(word string) string { return "[" + word + "] " }

// maxNodesMark bounds one that is taken.
const maxNodesMark = 40

// maxNodesText bounds what is kept of such a line.
const maxNodesText = 1000

// nodes takes a line of the leading node. Only that one writes before the solver does:
// its first line has the mark by which the others are known. A run on one node has none.
func (r *Reader) nodes(line []byte) {
	mark, rest, found := bytes.Cut(line, []byte("] "))
	if !found || len(mark) > maxNodesMark || len(mark) < 2 || mark[0] != '[' {
		return
	}
	if r.nodesMark == "" && r.facts.Runs == 0 {
		r.nodesMark = string(mark)
	}
	if string(mark) != r.nodesMark {
		return
	}
	switch {
	case bytes.HasPrefix(rest, []byte(NodesWaiting)), bytes.HasPrefix(rest, []byte(NodesThere)):
		r.facts.Nodes = sanitize.Line(rest, maxNodesText)
	case bytes.HasPrefix(rest, []byte("node ")):
		r.facts.NodesStop = sanitize.Line(rest, maxNodesText)
	case bytes.HasPrefix(rest, []byte(NodesLost)), bytes.HasPrefix(rest, []byte(NodesStopped)), bytes.HasPrefix(rest, []byte(NodesFailed)):
		r.facts.NodesEnded = sanitize.Line(rest, maxNodesText)
	}
}

// WaitsForNodes reports whether a run over several nodes waits for some of them.
func (s *Snapshot) WaitsForNodes() bool { return strings.HasPrefix(s.Nodes, NodesWaiting) }
