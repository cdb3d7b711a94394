// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"
	"fmt"

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
	NodesFailed  = "the run over several nodes failed: "
)

// maxNodesText bounds what is kept of such a line.
const maxNodesText = 1000

// nodes takes a line of the leading node.
func (r *Reader) nodes(rest []byte) {
	switch {
	case bytes.HasPrefix(rest, []byte(NodesWaiting)), bytes.HasPrefix(rest, []byte(NodesThere)):
		r.facts.Nodes = sanitize.Line(rest, maxNodesText)
	case bytes.HasPrefix(rest, []byte("node ")):
		r.facts.NodesStop = sanitize.Line(rest, maxNodesText)
	case bytes.HasPrefix(rest, []byte(NodesLost)), bytes.HasPrefix(rest, []byte(NodesFailed)):
		r.facts.NodesEnded = sanitize.Line(rest, maxNodesText)
	}
}

// hydraHost takes the line in which Hydra names the host of the process that ended
// first: "=   PID 4711 RUNNING AT crash02".
func (r *Reader) hydraHost(rest []byte) {
	if pid, host, found := bytes.Cut(rest, []byte(" RUNNING AT ")); found && r.hydra == "" {
		r.hydra = fmt.Sprintf("mpiexec: a rank (process %s) on node %s ", pid, bytes.TrimSpace(host))
	}
}

// hydraCode takes "=   EXIT CODE: 1". A signal has a line of its own, after it.
func (r *Reader) hydraCode(rest []byte) {
	if r.hydra != "" && !r.hydraCrash {
		before := r.facts.Crash
		r.crash(r.hydra+"ended with exit code ", rest)
		r.hydraCrash = r.facts.Crash != before
	}
}

// hydraSignal takes "YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)".
func (r *Reader) hydraSignal(rest []byte) {
	if r.hydraCrash {
		r.facts.Crash = ""
		r.crash(r.hydra+"exited on signal: ", rest)
	}
}
