// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/health"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/inventory"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
)

const fingerprintPeriod = 30 * time.Second

// Fingerprint streams the driver's health and attributes: at once, and then
// whenever they change.
func (d *Driver) Fingerprint(ctx context.Context) (<-chan *drivers.Fingerprint, error) {
	ch := make(chan *drivers.Fingerprint, 1)
	d.routines.Go(func() {
		defer close(ch)
		ticker := time.NewTicker(fingerprintPeriod)
		defer ticker.Stop()
		health.Stream(ctx, d.ctx, ticker.C, ch, d.fingerprint)
	})
	return ch, nil
}

// solverPatience bounds how long a fingerprint waits for what the configuration names.
const solverPatience = 5 * time.Second

// fingerprint returns what the node has now.
func (d *Driver) fingerprint() *drivers.Fingerprint {
	if err := d.ready(); errors.Is(err, errDisabled) {
		return health.Disabled()
	} else if err != nil {
		return health.Unready(err)
	}
	node := d.settings()
	ctx, cancel := context.WithTimeout(d.ctx, solverPatience)
	defer cancel()
	return health.Of(health.Node{
		Plugin: PluginName, Version: Version, Settings: node, Cores: d.cores, Inventory: inventory.Take(ctx, d.solvers, node),
		Unclaimed: task.DescribeUnclaimed(d.runs.Find((*task.Handle).IsUnclaimed)),
	})
}
