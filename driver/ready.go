// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/board"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/placement"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/statedir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

var errDisabled = errors.New("driver lsdyna is disabled on this node: set enabled = true in its plugin block")

// ready makes the driver able to run tasks: it takes state_dir, reads the
// machine, and adopts every solver that lives, also those that Nomad has handed over
// already. It is called again wherever it
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
	cores, err := d.readCores(agent)
	if err != nil {
		return err
	}
	store, err := statedir.Open(d.ctx, agent.settings.StateDir, d.logger)
	if err != nil {
		return err
	}
	if err := store.WriteSettings(cores.Settings()); err != nil {
		d.logger.Warn("the status command has to guess this configuration", "error", err)
	}
	d.ledger.Open(store.Dir())
	d.mu.Lock()
	d.store = store
	d.mu.Unlock()
	d.routines.Go(func() { d.ledger.Run(d.ctx, store.Dir()) })
	d.board.Start(d.ctx, board.Options{Dir: agent.settings.StatusDir, StateDir: store.Dir(), Runs: d.runs, Cores: cores})
	d.adoptAll(store)
	d.manageAll()
	return nil
}

// readCores reads the machine, once. It does not need state_dir: the cores of runs that
// Nomad hands over are told without it.
func (d *Driver) readCores(a agent) (*placement.Cores, error) {
	if d.cores != nil {
		return d.cores, nil
	}
	cores, err := placement.New(placementSettings(a), d.logger)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.cores = cores
	d.mu.Unlock()
	d.routines.Go(func() { d.watchCores(cores) })
	return cores, nil
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

// readyPatience is how long a call waits for another plugin process to let go of
// state_dir.
const readyPatience = 15 * time.Second

// waitReady is ready for callers that Nomad does not let try again: it waits
// for another plugin process to let go of state_dir.
func (d *Driver) waitReady(patience time.Duration) error {
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
