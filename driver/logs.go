// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/outlive"
)

// OutliveClient prepares a plugin process for the death of its Nomad client.
//
// The plugin's log is a pipe to that client, and the next client reattaches to
// the plugin but not to the pipe: the first line would end the plugin by SIGPIPE,
// in the middle of whatever it does. Nomad does not repeat a StopTask that fails
// in that way on the next plugin, so the solver would run on. From the first
// SIGPIPE on, the log goes to plugin.log in state_dir, as soon as that is the plugin's.
//
// A client that is killed before it has told the plugin its configuration never
// comes back to it; such a plugin ends itself.
func (d *Driver) OutliveClient() {
	broken, client := outlive.BrokenPipes(), os.Getppid()
	d.routines.Go(func() { outlive.FollowLog(d.ctx, broken, d.logFolder, d.logger) })
	d.routines.Go(func() { outlive.EndIfForgotten(d.ctx, client, func() bool { return d.said().serving }) })
}

// logFolder is state_dir, once it was checked and taken.
func (d *Driver) logFolder() string {
	if !d.isReady() {
		return ""
	}
	return d.settings().StateDir
}
