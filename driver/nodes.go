// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
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

// share is a task's part of a run over several nodes; the zero value where it has one.
type share struct {
	index, of int
	key       string
	network   netip.Prefix // the address of this node, with its network
	port      uint16
}

// isFollower reports whether another node leads the run.
func (s *start) isFollower() bool { return s.share.index > 0 }

// findShare finds the task's part of a run over several nodes.
func (s *start) findShare() error {
	if s.job.Nodes <= 1 {
		return nil
	}
	s.share.of, s.share.key = s.job.Nodes, member.Key(s.cfg.Namespace, s.cfg.JobID, s.cfg.Name)
	index, err := strconv.Atoi(s.cfg.Env[indexEnv])
	if err != nil || index < 0 {
		return fmt.Errorf("nodes = %d: Nomad does not tell which of them this is (%s = %q)", s.share.of, indexEnv, s.cfg.Env[indexEnv])
	}
	if s.share.index = s.job.FirstNode + index; s.share.index >= s.share.of {
		return fmt.Errorf("nodes = %d, and this is allocation %d of a group whose first node is %d: the counts of the job's groups must make up nodes", s.share.of, index, s.job.FirstNode)
	}
	if err := launch.CheckFolder(filepath.Join(s.job.WorkRoot, s.job.WorkDir)); err != nil {
		return fmt.Errorf("nodes = %d: work_dir: %w", s.share.of, err)
	}
	address, err := netip.ParseAddrPort(s.portAddress())
	if err != nil {
		return fmt.Errorf("nodes = %d: the group needs a port by which its nodes find each other: network { port %q {} } (%w)", s.share.of, portName, err)
	}
	s.share.port = address.Port()
	s.share.network, err = networkOf(address.Addr())
	return err
}

func (s *start) portAddress() string {
	for _, name := range portEnv {
		if text := s.cfg.Env[name]; text != "" {
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

// checkCompletedAsFollower finds out whether this allocation took part in a run that has
// completed: the leading node, which ended its task as completed, would not come.
func (s *start) checkCompletedAsFollower() error {
	var told nodes.Ended
	err := s.inFolder(func(f *rundir.Folder) (err error) {
		told, err = nodes.ReadEnded(f.Path(), s.share.key, s.share.index, s.id.Alloc)
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		s.d.logger.Warn("cannot tell whether the run has completed already", "alloc_id", s.id.Alloc, "error", err)
		return nil // nothing is overwritten by a node that does not lead
	case told.Kind == output.Completed: // whatever the exit code, as on the leading node
		s.run.completed = &rundir.Completion{
			Namespace: s.cfg.Namespace, Job: s.cfg.JobID, Alloc: s.id.Alloc, Task: s.id.Task,
			Reason: told.Reason, Finished: told.At, ExitKnown: true, Code: told.Code,
		}
	}
	return nil
}

// noteRestarted notes in the run folder that a completed run was started again.
func (s *start) noteRestarted() error {
	if s.isFollower() {
		return nil // the leading node's task does
	}
	return s.inFolder((*rundir.Folder).NoteRestarted)
}

// streams are the files in the run folder that take a node's streams: the
// leading node's are the solver's.
func (s *start) streams() (stdout, stderr string) {
	if s.isFollower() {
		node := "-node" + strconv.Itoa(s.share.index)
		return stdoutName + node, stderrName + node
	}
	return stdoutName, stderrName
}

// joinNodes makes of the solver's command the one that is executed in its place on this
// node of a run.
func (s *start) joinNodes() error {
	if s.share.of <= 1 {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	solver, cores := s.job.Solver, s.command.Local
	if len(cores) > 0 && len(cores[0]) == 0 {
		cores = make([][]int, 0) // not pinned
	}
	c := nodes.Config{
		Self: member.Record{
			Run: s.share.key, Index: s.share.index, Nodes: s.share.of, Alloc: s.id.Alloc, Task: s.id.Task, Node: s.cfg.NodeName,
			Address: netip.AddrPortFrom(s.share.network.Addr(), s.share.port).String(),
			Ranks:   len(s.command.Local), Threads: s.command.Threads, Cores: cores, Words: s.command.Words, At: time.Now().UTC(),
			Same: member.Same{
				Version: Version, Solver: solver.Path, Parallel: string(solver.Parallel), Precision: string(solver.Precision),
				MPI: string(solver.MPI), MPIRun: solver.MPIRun, Input: s.job.Input, NCPU: s.job.NCPU,
			},
		},
		Network: s.share.network, Patience: s.job.StartTimeout, Stop: s.job.StopName(),
	}
	command := nodes.FollowCommand
	if !s.isFollower() {
		command = nodes.LeadCommand
		c.Solver, c.Args, c.Root, c.Stdout, c.JobID, c.Old = solver, s.command.Args, s.user.UID == 0, stdoutName, s.job.JobID, s.run.old
	}
	text, err := c.Encode()
	if err != nil {
		return err
	}
	s.command.Path, s.command.Args, s.command.Env = program, []string{command}, append(s.command.Env, nodes.ConfigEnv+"="+text)
	s.events = append(s.events, task.DescribeShare(s.share.index, s.share.of))
	return nil
}
