// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/drivers/fsisolation"
)

const (
	// PluginName is the plugin's name in the agent's configuration.
	PluginName = "nomad-driver-lsdyna"

	// DriverName is what job files say: driver = "lsdyna".
	DriverName = "lsdyna"
)

// Version is the plugin's version, a semantic version; the Makefile sets it
// from git with -ldflags.
var Version = "0.1.0-dev"

// PluginInfo tells Nomad who we are. Nomad knows a driver by this name, so it
// is the driver's, not the plugin file's.
func (d *Driver) PluginInfo() (*base.PluginInfoResponse, error) {
	return &base.PluginInfoResponse{
		Type:              base.PluginTypeDriver,
		PluginApiVersions: []string{drivers.ApiVersion010},
		PluginVersion:     Version,
		Name:              DriverName,
	}, nil
}

// Capabilities tells Nomad what a task may ask for. Tasks run on the host's
// file system and network: a solver reads decks and licences from both.
func (d *Driver) Capabilities() (*drivers.Capabilities, error) {
	return &drivers.Capabilities{
		SendSignals:       true,
		Exec:              true,
		FSIsolation:       fsisolation.None,
		NetIsolationModes: []drivers.NetIsolationMode{drivers.NetIsolationModeHost},
		MountConfigs:      drivers.MountConfigSupportNone,
	}, nil
}
