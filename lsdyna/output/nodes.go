// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/fortran"
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

// Bounds of what Hydra says, so that what it says last is never cut off a fact.
const (
	maxHydraPID  = 20
	maxHydraHost = 80
)

const hydraName = "mpiexec: "

// hydraHost takes the line in which Hydra names the host of the process that ended
// first: "=   PID 4711 RUNNING AT crash02" of MPICH, "=   RANK 1 PID 4711 RUNNING AT
// crash02" of Intel MPI.
func (r *Reader) hydraHost(rest []byte) {
	before, host, found := bytes.Cut(rest, []byte(" RUNNING AT "))
	if !found || r.facts.RankExit != "" || strings.HasPrefix(r.facts.Crash, hydraName) {
		return // the first is why
	}
	rank, pid, numbered := bytes.Cut(before, []byte(" PID "))
	if !numbered {
		rank, pid = nil, before
	}
	who := "a rank"
	if n, ok := fortran.Integer(rank); ok {
		who = fmt.Sprintf("rank %d", n)
	}
	r.hydra = fmt.Sprintf(hydraName+"%s (process %s) on node %s ", who, sanitize.Line(pid, maxHydraPID), sanitize.Line(host, maxHydraHost))
}

// sigtermExit is the exit code of a rank that the Fortran runtime ends at SIGTERM.
const sigtermExit = 78

// hydraCode takes "=   EXIT CODE: 1". A signal has a line of its own, after it.
func (r *Reader) hydraCode(rest []byte) {
	code, ok := firstInteger(rest)
	if !ok || r.hydra == "" || r.facts.RankExit != "" {
		return
	}
	r.facts.RankExit = sanitize.HideServers(fmt.Sprintf("%sended with exit code %d", r.hydra, code))
	if code != sigtermExit && r.facts.CrashSignal == int(unix.SIGTERM) {
		r.facts.Crash, r.facts.CrashSignal = "", 0 // of a rank that was ended because this one had
	}
}

// hydraSignal takes "YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)"
// of MPICH, and "=   KILLED BY SIGNAL: 9 (Killed)" of Intel MPI.
func (r *Reader) hydraSignal(rest []byte) {
	if r.hydra != "" {
		r.crash(r.hydra+"exited on signal: ", rest)
	}
}
