// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/placement"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

var errDisabled = errors.New("driver lsdyna is disabled on this node: set enabled = true in its plugin block")

// ready makes the driver able to run tasks: it takes state_dir, reads the
// machine, and adopts every solver that lives. It is called again wherever it
// did not succeed before, e.g. while a dying plugin still holds state_dir.
func (d *Driver) ready() error {
	d.preparing.Lock()
	defer d.preparing.Unlock()
	agent := d.said()
	switch {
	case !agent.settings.Enabled:
		return errDisabled
	case d.isReady():
		return nil
	case !agent.serving:
		return errors.New("driver lsdyna has no agent configuration")
	}
	store, err := d.openStore(agent.settings.StateDir)
	if err != nil {
		return err
	}
	cores, err := placement.New(placementSettings(agent), d.logger)
	if err != nil {
		_ = store.Close()
		return err
	}
	if err := store.WriteSettings(cores.Settings()); err != nil {
		d.logger.Warn("the status command has to guess this configuration", "error", err)
	}
	d.mu.Lock()
	d.store, d.cores = store, cores
	d.mu.Unlock()
	d.adoptAll(store)
	d.routines.Go(func() { d.watchCores(cores) })
	return nil
}

func (d *Driver) isReady() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.store != nil
}

func placementSettings(a agent) placement.Settings {
	return placement.Settings{
		Options: a.settings.Allocator, Usable: a.settings.Usable, Memory: a.settings.Memory, Nomad: a.usable,
	}
}

// openStore takes state_dir, if need be from a plugin that no agent uses any
// more: an agent that is killed while it launches a plugin forgets that plugin,
// which then lives on and holds state_dir; or from one that was killed and cannot end.
func (d *Driver) openStore(dir string) (*state.Store, error) {
	store, err := state.Open(dir)
	var used *state.InUseError
	if !errors.As(err, &used) {
		return store, err
	}
	holder := used.Holder.Process()
	if holder.Dying(procfs.Root) {
		return d.succeed(used)
	}
	if !holder.Alive(procfs.Root) || used.Holder.Parent().Alive(procfs.Root) {
		return nil, err
	}
	if used.Holder.ParentPID <= 1 {
		return nil, err // launched by init itself: nothing can be told
	}
	d.logger.Warn("ending a plugin process whose agent is dead", "pid", used.Holder.PID)
	if err := supervisor.EndProcess(holder); err != nil && !errors.Is(err, supervisor.ErrNotEnded) {
		return nil, fmt.Errorf("%w; it is left over from a dead agent: %w", used, err)
	}
	return d.succeed(used)
}

// lastCalls is how long a plugin process that was killed is waited for before
// state_dir is taken over from it. Most end at once, and what their threads do
// meanwhile is not done beside a successor's work.
const lastCalls = 2 * time.Second

// succeed takes state_dir as soon as the plugin process that has it has ended, or
// when it has been dying for lastCalls: a thread of it waits for a file server then,
// and its lock would stay for as long.
func (d *Driver) succeed(used *state.InUseError) (*state.Store, error) {
	began := time.Now()
	for {
		store, err := state.Open(used.Dir)
		var now *state.InUseError
		switch {
		case !errors.As(err, &now):
			return store, err
		case now.Holder != used.Holder || !now.Holder.Process().Dying(procfs.Root):
			return nil, err
		case time.Since(began) >= lastCalls:
			d.logger.Warn("taking state_dir over from a plugin process that was killed and cannot end: does it wait for a dead file server?", "pid", now.Holder.PID)
			return state.TakeOver(used.Dir, now.Holder)
		}
		select {
		case <-d.ctx.Done():
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// waitReady is ready for callers that Nomad does not let try again: it waits
// for another plugin process to let go of state_dir.
func (d *Driver) waitReady() error {
	const patience = 15 * time.Second
	ctx, cancel := context.WithTimeout(d.ctx, patience)
	defer cancel()
	for {
		err := d.ready()
		if err == nil || !errors.Is(err, state.ErrInUse) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// watchCores keeps where the solvers run in line with their leases for as long as
// the driver lives: a reservation or a CPU that goes offline takes cores away, and
// anybody with the rights can change an affinity.
func (d *Driver) watchCores(cores *placement.Cores) {
	ticker := time.NewTicker(placement.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-ticker.C:
			cores.Reevaluate()
		}
	}
}
