// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/wire"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// The messages between the leader of a run, its launch agents, and the daemons of the
// other nodes.
const (
	kindJoin    wire.Kind = iota + 1 // leader: this run is led from here; the connection lasts as long as the run
	kindJoined                       // daemon: yes
	kindRefused                      // daemon: no, and why
	kindStop                         // daemon: the node's task is to be stopped
	kindEnd                          // leader: the run has ended
	kindExec                         // agent: execute this
	kindStdout                       // daemon: what it prints
	kindStderr
	kindExited // daemon: how it ended; the last message
	kindFailed // daemon, to its leader: what the launcher had started here failed
)

// Join is a leader's first message.
type Join struct {
	Alloc string `json:"alloc_id"` // of the leader
	Node  string `json:"node"`     // its name in Nomad
}

// End is how a run ended, by its leader.
type End struct {
	Code   int         `json:"code"` // exit code of the launcher
	Kind   output.Kind `json:"outcome"`
	Reason string      `json:"reason"`
}

// exec is what an agent has executed.
type exec struct {
	Script string   `json:"script"` // for a shell, as a remote shell takes it
	Env    []string `json:"env"`    // beside the daemon's own, NAME=value
}

// exited is how it ended.
type exited struct {
	Code int `json:"code"`
}

// failed is what of a run ended on one node.
type failed struct {
	What string `json:"what"`
}

// refused is why something is not done.
type refused struct {
	Why string `json:"why"`
}
