// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package share is a task's part of a run over several nodes: which of them it is, by
// what Nomad tells the task of its place in a group, where the others find it, and what
// is executed on it in the solver's place.
package share

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"

	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ended"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// What Nomad tells a task of its place in a group, and of the port that its group has
// for the launch.
const (
	indexEnv = "NOMAD_ALLOC_INDEX"
	portName = "launch"
)

// portEnv are the variables that hold the address of the port, the host's own first:
// tasks in a bridge network have another one inside.
var portEnv = []string{"NOMAD_HOST_ADDR_" + portName, "NOMAD_ADDR_" + portName}

// Share is a task's part of a run over several nodes; the zero value where it has one.
type Share struct {
	Index, Of int
	Key       string       // tells jobs apart that wait for the same folder
	network   netip.Prefix // the address of this node, with its network
	port      uint16
}

// Find finds the task's part of a run over several nodes.
func Find(job *settings.TaskSettings, cfg *drivers.TaskConfig) (Share, error) {
	if job.Nodes <= 1 {
		return Share{}, nil
	}
	s := Share{Of: job.Nodes, Key: member.Key(cfg.Namespace, cfg.JobID, cfg.Name)}
	index, err := strconv.Atoi(cfg.Env[indexEnv])
	if err != nil || index < 0 {
		return Share{}, fmt.Errorf("nodes = %d: Nomad does not tell which of them this is (%s = %q)", s.Of, indexEnv, cfg.Env[indexEnv])
	}
	if s.Index = job.FirstNode + index; s.Index >= s.Of {
		return Share{}, fmt.Errorf("nodes = %d, and this is allocation %d of a group whose first node is %d: the counts of the job's groups must make up nodes", s.Of, index, job.FirstNode)
	}
	if err := launch.CheckFolder(filepath.Join(job.WorkRoot, job.WorkDir)); err != nil {
		return Share{}, fmt.Errorf("nodes = %d: work_dir: %w", s.Of, err)
	}
	text := portAddress(cfg.Env)
	if text == "" {
		return Share{}, fmt.Errorf("nodes = %d: the group needs a port by which its nodes find each other: network { port %q {} }", s.Of, portName)
	}
	address, err := netip.ParseAddrPort(text)
	if err != nil {
		return Share{}, fmt.Errorf("nodes = %d: the port %q of the group has no address that can be used: %w", s.Of, portName, err)
	}
	s.port = address.Port()
	if s.network, err = networkOf(address.Addr()); err != nil {
		return Share{}, err
	}
	return s, nil
}

func portAddress(env map[string]string) string {
	for _, name := range portEnv {
		if text := env[name]; text != "" {
			return text
		}
	}
	return ""
}

// networkOf returns an address of this machine with its network.
func networkOf(address netip.Addr) (netip.Prefix, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("find this machine's networks: %w", err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == address.Unmap() {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("the port %q has address %s, which no interface of this machine has: leave the group in the host's network", portName, address)
}

// Follows reports whether another node leads the run.
func (s Share) Follows() bool { return s.Index > 0 }

// Describe says for an event which part it is.
func (s Share) Describe() string {
	if s.Index == 0 {
		return fmt.Sprintf("This node leads the run over %d nodes", s.Of)
	}
	return fmt.Sprintf("This is node %d of the run over %d nodes; node 0 leads it, and its task tells of the run", s.Index, s.Of)
}

// Stream is the name of the file in the run folder that takes a node's stream: the
// leading node's is the solver's, name itself.
func (s Share) Stream(name string) string {
	if s.Follows() {
		name += "-node" + strconv.Itoa(s.Index)
	}
	return name
}

// Completed returns how a run has completed in which an allocation took part as a node
// that does not lead, and whose task ends so as well: the leading node would not come.
// nil where the run has not completed; fs.ErrNotExist where it has not ended.
func (s Share) Completed(f *rundir.Folder, cfg *drivers.TaskConfig, id state.ID) (*ended.Completion, error) {
	told, err := nodes.ReadEnded(f.Path(), s.Key, s.Index, id.Alloc)
	if err != nil || told.Kind != output.Completed { // whatever the exit code, as on the leading node
		return nil, err
	}
	return &ended.Completion{
		Namespace: cfg.Namespace, Job: cfg.JobID, Alloc: id.Alloc, Task: id.Task,
		Reason: told.Reason, Finished: told.At, ExitKnown: true, Code: told.Code,
	}, nil
}
