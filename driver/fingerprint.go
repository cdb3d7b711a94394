// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	pstructs "github.com/hashicorp/nomad/plugins/shared/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
)

const fingerprintPeriod = 30 * time.Second

// Fingerprint streams the driver's health and attributes: at once, and then
// whenever they change. Every change is a raft write and node evaluations in
// Nomad, so the attributes are slow facts only.
func (d *Driver) Fingerprint(ctx context.Context) (<-chan *drivers.Fingerprint, error) {
	ch := make(chan *drivers.Fingerprint, 1)
	d.routines.Go(func() {
		defer close(ch)
		ticker := time.NewTicker(fingerprintPeriod)
		defer ticker.Stop()
		d.streamFingerprints(ctx, ticker.C, ch)
	})
	return ch, nil
}

// streamFingerprints sends the fingerprint at once, and at a tick if it changed.
func (d *Driver) streamFingerprints(ctx context.Context, tick <-chan time.Time, ch chan<- *drivers.Fingerprint) {
	var last *drivers.Fingerprint
	for {
		if now := d.fingerprint(); !reflect.DeepEqual(now, last) {
			select {
			case ch <- now:
				last = now
			case <-ctx.Done():
				return
			case <-d.ctx.Done():
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-d.ctx.Done():
			return
		case <-tick:
		}
	}
}

// solverPatience bounds how long a fingerprint waits for the solvers' paths.
const solverPatience = 5 * time.Second

// fingerprint returns what the node has now.
func (d *Driver) fingerprint() *drivers.Fingerprint {
	if err := d.ready(); err != nil {
		if errors.Is(err, errDisabled) {
			return &drivers.Fingerprint{Health: drivers.HealthStateUndetected, HealthDescription: "disabled"}
		}
		return &drivers.Fingerprint{Health: drivers.HealthStateUnhealthy, HealthDescription: err.Error()}
	}
	node, cores := d.settings(), d.cores
	topo := cores.Topology()
	attrs := map[string]*pstructs.Attribute{
		"driver.lsdyna":                         pstructs.NewBoolAttribute(true),
		"driver.lsdyna.version":                 pstructs.NewStringAttribute(Version),
		"driver.lsdyna.physical_cores":          pstructs.NewIntAttribute(int64(topo.PhysicalCores()), ""),
		"driver.lsdyna.logical_cores":           pstructs.NewIntAttribute(int64(topo.LogicalCores()), ""),
		"driver.lsdyna.hyper_threading_enabled": pstructs.NewBoolAttribute(topo.HyperThreading()),
		"driver.lsdyna.usable_cores":            pstructs.NewStringAttribute(cores.Managed().String()),
	}
	ctx, cancel := context.WithTimeout(d.ctx, solverPatience)
	defer cancel()
	present, missing := 0, []string(nil)
	for i, err := range d.solvers.CheckAll(ctx, node.Solvers) {
		solver := node.Solvers[i]
		if err != nil {
			missing = append(missing, fmt.Sprintf("solver %q: %v", solver.Name, err))
			continue
		}
		present++
		attrs["driver.lsdyna.solver."+solver.Name] = pstructs.NewStringAttribute(versionFromName(solver.Path))
	}
	health, words := drivers.HealthStateHealthy, drivers.DriverHealthy
	lacks := append(missing, cores.MissingCgroups(node.MaxProcesses > 0)...)
	lacks = append(lacks, task.DescribeUnclaimed(d.find((*task.Handle).IsUnclaimed))...)
	switch {
	case len(missing) > 0 && present == 0:
		health, words = drivers.HealthStateUnhealthy, strings.Join(missing, "; ")
	case present == 0 && !node.AllowCommand:
		health, words = drivers.HealthStateUnhealthy, "no solver is configured: add a solver block to plugin \""+PluginName+"\""
	case len(lacks) > 0:
		words = drivers.DriverHealthy + ", but " + strings.Join(lacks, "; ")
	}
	return &drivers.Fingerprint{Attributes: attrs, Health: health, HealthDescription: words}
}

// Names of executables carry the version: ls-dyna_smp_d_R13_1_1_x64_….
var versionInName = regexp.MustCompile(`(?i)(?:^|[_-])R(\d+(?:[._]\d+)*)(?:[._-]|$)`)

// versionFromName returns the version in an executable's name, e.g. R13.1.1,
// or "unknown": running a solver to ask it would take a licence.
func versionFromName(path string) string {
	if m := versionInName.FindStringSubmatch(filepath.Base(path)); m != nil {
		return "R" + strings.ReplaceAll(m[1], "_", ".")
	}
	return "unknown"
}
