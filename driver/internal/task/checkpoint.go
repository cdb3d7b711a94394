// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/checkpoint"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/switches"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// checkpointSwitch has the solver write a dump and go on.
const checkpointSwitch = "sw3"

// checkpoints is when a run writes the next. The schedule is of Run's goroutine alone.
type checkpoints struct {
	checkpoint.Schedule
	failed atomic.Bool // the last could not be asked for
}

func newCheckpoints(d *state.Details) *checkpoints {
	return &checkpoints{Schedule: checkpoint.Schedule{Every: d.Checkpoint}}
}

// checkCheckpoint asks for a checkpoint when one is due. ctx is Run's.
func (h *Handle) checkCheckpoint(ctx context.Context, r *run, v watch.View) {
	if r.isFollower() || r.checkpoints.Every <= 0 {
		return
	}
	now := time.Now()
	if r.checkpoints.failed.Swap(false) {
		r.checkpoints.Failed(now)
	}
	state := checkpoint.Run{
		Now: now, Began: h.process.Load().began(), Adopted: h.adopted,
		Solves: v.Snapshot.Phase == output.PhaseSolving && h.checkStopping() == nil && h.why().Reason == "" && v.Gone == nil,
		Busy:   r.switches.Busy() || v.Switch != nil && !v.Switch.Done(),
	}
	if v.Dump != nil {
		state.Dump = v.Dump.At
	}
	sw, err := lsdyna.ParseSwitch(checkpointSwitch)
	if err != nil || !r.checkpoints.Due(state) {
		return
	}
	r.checkpoints.Asked(now)
	h.routines.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, requestPatience)
		defer cancel()
		if err := r.switches.Send(ctx, sw, true); err != nil && ctx.Err() == nil {
			r.checkpoints.failed.Store(true)
			h.logger.Warn("cannot ask for a checkpoint", "error", err)
		}
	})
}

// toldCheckpoints is what was told of a run's checkpoints already.
type toldCheckpoints struct {
	failed   bool // that none came of the last try
	unpruned bool // that older ones stay
}

// tellCheckpoint tells of a checkpoint: of the first, and then ever more rarely, and of
// those that fail. What the run's end says is enough for one that was on its way then. n is
// how many there are, and effect what came of its switch.
func (h *Handle) tellCheckpoint(r *run, v *watch.SwitchView, n int, effect string) {
	told := &h.alerts.checkpoints
	if !v.Dump.Complete {
		if v.Ended || v.Replaced {
			return
		}
		if !told.failed {
			h.say("No checkpoint came of the last try, the next is in %s: %s", r.Checkpoint, effect)
		}
		told.failed = true
		return
	}
	text := checkpoint.Describe(n, switches.Written(v), r.Checkpoint, r.CheckpointKeep)
	if checkpoint.Told(n) || told.failed {
		h.Events.Emit(text)
	} else {
		h.logger.Info(text)
	}
	told.failed = false
	if v.Unpruned != "" && !told.unpruned {
		h.say("Older checkpoints are not removed: %s", v.Unpruned)
	}
	told.unpruned = v.Unpruned != ""
}
