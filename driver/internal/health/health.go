// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package health is a node's fingerprint: the driver's health, why it is so, and the
// attributes by which jobs choose a node. Every change is a raft write and node
// evaluations in Nomad, so the attributes are slow facts only.
package health

import (
	"context"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	pstructs "github.com/hashicorp/nomad/plugins/shared/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/events"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/inventory"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/placement"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
)

// Node is what a node has.
type Node struct {
	Plugin, Version string // the plugin's
	Settings        *settings.Settings
	Cores           *placement.Cores
	Inventory       inventory.Inventory // of what the settings name
	Unclaimed       []string            // what is to be said of runs without an allocation
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
	for i, solver := range n.Settings.Solvers {
		if n.Inventory.HasSolver(i) {
			attrs["driver.lsdyna.solver."+solver.Name] = pstructs.NewStringAttribute(versionFromName(solver.Path))
		}
	}
	if roots := n.Inventory.WorkRoots(); len(roots) > 0 {
		attrs["driver.lsdyna.work_roots"] = pstructs.NewStringAttribute(strings.Join(roots, ",")) // as set_contains takes it
	}
	health, words := n.judge()
	return &drivers.Fingerprint{Attributes: attrs, Health: health, HealthDescription: events.Breakable(words)}
}

// judge returns the health, and why it is so.
//
// A node is unhealthy where a run could not start, or not where runs belong: every solver is
// missing, or every work root. Nomad places nothing there then, and jobs go to other nodes
// or wait; else a node that has lost its scratch file system, being idle, would draw one job
// after another to it and fail them all. Whatever concerns some of the runs only is told,
// and jobs can choose nodes by attributes.
func (n Node) judge() (drivers.HealthState, string) {
	solvers, roots := n.Inventory.MissingSolvers(), n.Inventory.MissingRoots()
	noSolver := len(solvers) == len(n.Settings.Solvers) && len(solvers) > 0
	noRoot := len(roots) == len(n.Settings.WorkRoots) && len(roots) > 0
	lacks := inventory.Texts(slices.Concat(solvers, roots, n.Inventory.Others()))
	lacks = append(lacks, n.Cores.MissingCgroups(n.Settings.MaxProcesses > 0)...)
	lacks = append(lacks, n.Unclaimed...)
	all := strings.Join(lacks, "; ")
	switch {
	case len(n.Settings.Solvers) == 0 && !n.Settings.AllowCommand:
		return drivers.HealthStateUnhealthy, "no solver is configured: add a solver block to plugin \"" + n.Plugin + "\""
	case noSolver || noRoot:
		return drivers.HealthStateUnhealthy, all
	case len(lacks) > 0:
		return drivers.HealthStateHealthy, drivers.DriverHealthy + ", but " + all
	}
	return drivers.HealthStateHealthy, drivers.DriverHealthy
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
