// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package health is a node's fingerprint: the driver's health, why it is so, and the
// attributes by which jobs choose a node. Every change is a raft write and node
// evaluations in Nomad, so the attributes are slow facts only.
package health

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	pstructs "github.com/hashicorp/nomad/plugins/shared/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/events"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/placement"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
)

// Node is what a node has.
type Node struct {
	Plugin, Version string // the plugin's
	Settings        *settings.Settings
	Cores           *placement.Cores
	Solvers         []error  // what is wrong with each of the settings' solvers
	Unclaimed       []string // what is to be said of runs without an allocation
}

// Stream sends the fingerprint at once, and at a tick if it changed. It ends with either
// context.
func Stream(ctx, driver context.Context, tick <-chan time.Time, ch chan<- *drivers.Fingerprint, fingerprint func() *drivers.Fingerprint) {
	var last *drivers.Fingerprint
	for {
		if now := fingerprint(); !reflect.DeepEqual(now, last) {
			select {
			case ch <- now:
				last = now
			case <-ctx.Done():
				return
			case <-driver.Done():
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-driver.Done():
			return
		case <-tick:
		}
	}
}

// Disabled is the fingerprint of a node that is to run no solvers.
func Disabled() *drivers.Fingerprint {
	return &drivers.Fingerprint{Health: drivers.HealthStateUndetected, HealthDescription: "disabled"}
}

// Unready is the fingerprint of a node that can run no solvers because of why.
func Unready(why error) *drivers.Fingerprint {
	return &drivers.Fingerprint{Health: drivers.HealthStateUnhealthy, HealthDescription: events.Breakable(why.Error())}
}

// Of is the fingerprint of a node that can run solvers, as far as it has any.
func Of(n Node) *drivers.Fingerprint {
	topo := n.Cores.Topology()
	attrs := map[string]*pstructs.Attribute{
		"driver.lsdyna":                         pstructs.NewBoolAttribute(true),
		"driver.lsdyna.version":                 pstructs.NewStringAttribute(n.Version),
		"driver.lsdyna.physical_cores":          pstructs.NewIntAttribute(int64(topo.PhysicalCores()), ""),
		"driver.lsdyna.logical_cores":           pstructs.NewIntAttribute(int64(topo.LogicalCores()), ""),
		"driver.lsdyna.hyper_threading_enabled": pstructs.NewBoolAttribute(topo.HyperThreading()),
		"driver.lsdyna.usable_cores":            pstructs.NewStringAttribute(events.Breakable(n.Cores.Managed().String())),
	}
	present, missing := 0, []string(nil)
	for i, err := range n.Solvers {
		solver := n.Settings.Solvers[i]
		if err != nil {
			missing = append(missing, fmt.Sprintf("solver %q: %v", solver.Name, err))
			continue
		}
		present++
		attrs["driver.lsdyna.solver."+solver.Name] = pstructs.NewStringAttribute(versionFromName(solver.Path))
	}
	health, words := drivers.HealthStateHealthy, drivers.DriverHealthy
	lacks := append(missing, n.Cores.MissingCgroups(n.Settings.MaxProcesses > 0)...)
	lacks = append(lacks, n.Unclaimed...)
	switch {
	case len(missing) > 0 && present == 0:
		health, words = drivers.HealthStateUnhealthy, strings.Join(missing, "; ")
	case present == 0 && !n.Settings.AllowCommand:
		health, words = drivers.HealthStateUnhealthy, "no solver is configured: add a solver block to plugin \""+n.Plugin+"\""
	case len(lacks) > 0:
		words = drivers.DriverHealthy + ", but " + strings.Join(lacks, "; ")
	}
	return &drivers.Fingerprint{Attributes: attrs, Health: health, HealthDescription: events.Breakable(words)}
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
