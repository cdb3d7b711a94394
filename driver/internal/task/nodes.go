// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/events"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/switches"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// A run over several nodes is led by one of them: its task has the run folder, sends
// sense switches and tells how the run ended. The tasks of the others have a launch
// daemon in the solver's place, which tells what the leading node tells it.

// isFollower reports whether another node leads the run.
func (r *run) isFollower() bool { return r.NodeIndex > 0 }

// Follows is isFollower of a run that may not be known yet.
func (h *Handle) Follows() bool {
	r := h.run.Load()
	return r != nil && r.isFollower()
}

// leadingAlloc names the allocation of the node that leads the run, which has the run
// folder. Where that cannot be read it says how to find it: in each group of the job an
// allocation has index 0.
func (h *Handle) leadingAlloc(ctx context.Context, r *run) string {
	ctx, cancel := context.WithTimeout(ctx, leaderPatience)
	defer cancel()
	owner := make(chan ownership.Owner, 1)
	err := r.watcher.Do(ctx, func(f *rundir.Folder) error {
		o, err := ownership.Of(f).ReadOwner()
		owner <- o
		return err
	})
	if err == nil {
		if o := <-owner; o.Ended == nil && o.Alloc != "" && member.Key(o.Namespace, o.Job, o.Task) == r.NodesKey {
			return fmt.Sprintf("allocation %s on %s", h.Events.Redact(o.Alloc), o.Node)
		}
	}
	return "the allocation with index 0 of the job's group that has no first_node"
}

// leaderPatience bounds what a human waits for the name of an allocation.
const leaderPatience = 2 * time.Second

// startTimeout is how long a solver may take to get going: where there are several nodes
// they may take as long to find each other.
func startTimeout(d *state.Details) time.Duration {
	if d.Nodes > 1 {
		return 2 * d.StartTimeout
	}
	return d.StartTimeout
}

// tellNodes tells whom the run waits for, which nodes it has, and which has it stopped.
func (h *Handle) tellNodes(s output.Snapshot) {
	for _, c := range []struct {
		told *string
		now  string
	}{{&h.alerts.nodes, s.Nodes}, {&h.alerts.nodesStop, s.NodesStop}} {
		if c.now != "" && c.now != *c.told {
			*c.told = c.now
			h.Events.Emit(events.Sentence(c.now))
		}
	}
}

// stopFollower has the leading node stop the run, by its own means and with one dump:
// the launch daemon asks for it when it gets a signal. The ranks of this node are the
// leading node's to end, within this one's time.
func (h *Handle) stopFollower(ctx context.Context, order state.Stop, doing string) error {
	h.say("%s: asking the node that leads the run to stop it; it has %s", doing, switches.Short(time.Until(order.Deadline)))
	if err := h.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		h.logger.Warn("cannot signal the launch daemon", "error", err)
	}
	if h.awaitDone(ctx, order.Deadline) {
		return h.WaitEnded(ctx)
	}
	if err := ctx.Err(); err != nil {
		return err // the driver ends, or Nomad took over
	}
	h.say("The run did not end within kill_timeout; killing this node's part of it")
	if err := h.Kill(ctx); err != nil {
		return err
	}
	return h.WaitEnded(ctx)
}

// endAsFollower ends the task of a node that does not lead as the run ended, by what the
// leading node told its launch daemon. ctx ends with the driver: then the next plugin
// process does this.
func (h *Handle) endAsFollower(ctx context.Context, r *run, exit verdict.Exit) {
	told, err := h.settling(r).ReadEnded(ctx)
	if ctx.Err() != nil {
		return
	}
	o := verdict.OfFollower(told, err, exit, h.why())
	if !exit.Known && err == nil { // its supervisor was killed, and the leading node knows
		exit.Exit = output.Exit{Known: true, Code: told.Code}
	}
	o.Reason = h.Events.Redact(o.Reason)
	h.Events.EmitRedacted(events.Sentence(o.Reason))
	h.finish(output.Snapshot{}, o, exit)
}
