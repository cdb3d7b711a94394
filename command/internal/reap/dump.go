// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package reap

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/workplace"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// answerPatience is how long a run folder is waited for.
const answerPatience = 10 * time.Second

// stopWithDump asks the solver to write its dump and to end, as a stop by Nomad does, and
// waits for that until ctx ends. It says what came of it; "" where there is nothing to
// ask for.
func (c *candidate) stopWithDump(ctx context.Context) string {
	sw, err := lsdyna.ParseStop(c.details.Stop)
	if ctx.Err() != nil || c.damaged != nil || c.details.Stop == "" || c.details.RunBase == "" || err != nil {
		return ""
	}
	w := c.watch()
	defer w.Close()
	v, err := firstLook(ctx, w)
	if err != nil {
		return fmt.Sprintf("no dump: %v", err)
	}
	if p := v.Snapshot.Phase; p == output.PhaseStarting || p == output.PhaseLicence {
		return "" // it looks for no switch yet, and there is nothing to dump
	}
	order := c.orderStop(ctx, v.Snapshot.LastDump())
	err = insist(ctx, func(ctx context.Context) error {
		return w.Send(ctx, watch.Sending{Switch: sw, Asked: order.Began, Again: true, First: true})
	})
	if err != nil {
		return fmt.Sprintf("no dump: %v", err)
	}
	select {
	case <-c.proc.Done():
	case <-ctx.Done():
		return fmt.Sprintf("the solver did not end by %s in time", c.details.Stop)
	}
	reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerPatience)
	defer cancel()
	v, err = w.Finish(reading)
	switch sent := v.Switch; {
	case err != nil:
		return fmt.Sprintf("stopped with %s, and its outputs cannot be read: %v", c.details.Stop, err)
	case sent != nil && sent.Dump.Exists:
		return fmt.Sprintf("stopped with %s, dump %s written at t = %.4E", c.details.Stop, sent.Dump.Dump.Name, sent.Dump.Dump.Time)
	}
	return fmt.Sprintf("stopped with %s, without a dump", c.details.Stop)
}

// watch watches the run folder with the rights of the task's user.
func (c *candidate) watch() *watch.Watcher {
	d := c.details
	user := supervisor.User{UID: d.UID, GID: d.GID, Name: d.User, Groups: d.Groups}
	if spec := c.proc.Spec(); spec != nil {
		user = spec.User
	}
	follow := &rundir.FollowOptions{Stdout: d.Stdout, JobID: d.LSDynaJob}
	if len(d.Old) > 0 {
		_ = json.Unmarshal(d.Old, &follow.Old) // then an older run's outputs count, too
	}
	w := watch.Start(watch.Options{
		Open: func() (*rundir.Folder, error) { return rundir.Open(d.RunBase, d.RunFolder) },
		As:   user.Do, Follow: follow, Run: c.record.ID.String(),
	})
	rec, _ := c.proc.Record()
	w.SetSolver(workplace.Place{Solver: rec.Solver(), Path: d.RunPath(), Dir: rundir.DirID{Dev: d.RunDevice, Ino: d.RunInode}})
	return w
}

// firstLook waits until the outputs were read once. A folder that is not the solver's
// any more is not waited for.
func firstLook(ctx context.Context, w *watch.Watcher) (v watch.View, err error) {
	err = insist(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, answerPatience)
		defer cancel()
		var err error
		v, err = w.Look(ctx)
		switch {
		case v.Gone != nil:
			return v.Gone
		case v.Looks > 0:
			return nil
		}
		return err
	})
	return v, err
}

// insist asks a run folder again that fails, or cannot be opened, for as long as the
// solver has: its server may be away for a moment, and the dump is worth it.
func insist(ctx context.Context, do func(context.Context) error) error {
	const pause = 500 * time.Millisecond
	for {
		err := do(ctx)
		if !rundir.Unreadable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// orderStop records the stop, so that a plugin which finds the run tells its end as one.
func (c *candidate) orderStop(ctx context.Context, last *output.Dump) state.Stop {
	if order, err := c.record.ReadStop(); err == nil {
		return order
	}
	order := state.Stop{Began: time.Now(), Signal: "SIGTERM"}
	order.Deadline, _ = ctx.Deadline()
	if last != nil {
		order.LastDump, _ = json.Marshal(last) // plain fields
	}
	_ = c.record.WriteStop(order) // it is ended all the same
	return order
}
