// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package share

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// Task is what the nodes of a run must know of the task on one of them.
type Task struct {
	ID      state.ID
	Node    string // its name
	Version string // of the plugin
	Job     *settings.TaskSettings
	Command launch.Command // the solver's
	Root    bool           // it runs as root
	Stdout  string         // the name of the file that takes the solver's stdout
	Old     rundir.Outputs // outputs that were there before the run
}

// Join makes of a solver's command the one that is executed in its place on this node of
// the run.
func (s Share) Join(t Task) (launch.Command, error) {
	program, err := os.Executable()
	if err != nil {
		return launch.Command{}, fmt.Errorf("find this program: %w", err)
	}
	solver, cores := t.Job.Solver, t.Command.Local
	if len(cores) > 0 && len(cores[0]) == 0 {
		cores = make([][]int, 0) // not pinned
	}
	c := nodes.Config{
		Self: member.Record{
			Run: s.Key, Index: s.Index, Nodes: s.Of, Alloc: t.ID.Alloc, Task: t.ID.Task, Node: t.Node,
			Address: netip.AddrPortFrom(s.network.Addr(), s.port).String(),
			Ranks:   len(t.Command.Local), Threads: t.Command.Threads, Cores: cores, Words: t.Command.Words, At: time.Now().UTC(),
			Same: member.Same{
				Version: t.Version, Solver: solver.Path, Parallel: string(solver.Parallel), Precision: string(solver.Precision),
				MPI: string(solver.MPI), MPIRun: solver.MPIRun, Input: t.Job.Input, NCPU: t.Job.NCPU,
			},
		},
		Network: s.network, Patience: t.Job.StartTimeout, Stop: t.Job.StopName(),
	}
	name := nodes.FollowCommand
	if !s.Follows() {
		name = nodes.LeadCommand
		c.Solver, c.Args, c.Root, c.Stdout, c.JobID, c.Old = solver, t.Command.Args, t.Root, t.Stdout, t.Job.JobID, t.Old
	}
	text, err := c.Encode()
	if err != nil {
		return launch.Command{}, err
	}
	command := t.Command
	command.Path, command.Args, command.Env = program, []string{name}, append(command.Env, nodes.ConfigEnv+"="+text)
	return command, nil
}
