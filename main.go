// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Command nomad-driver-lsdyna is a Nomad task driver plugin that runs LS-DYNA
// on cores that never move. The Nomad agent launches it without arguments; with
// arguments it is one of the commands for operators (see `help`). Launched as
// `supervise` or `stage` it becomes the parent of one solver, and as `lead`, `follow`,
// `launch` or `rank` a part of a run over several nodes: packages supervisor and nodes
// see to that before main runs.
package main

import (
	"context"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins"
	"github.com/hashicorp/nomad/plugins/base"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/checkconfig"
)

func main() {
	if len(os.Args) > 1 || os.Getenv(base.Handshake.MagicCookieKey) == "" { // a person, not the agent
		command.Version = driver.Version
		command.CheckConfig = checkconfig.Names{Plugin: driver.PluginName, Driver: driver.DriverName}.Check
		os.Exit(command.Main(os.Args[1:]))
	}
	var d *driver.Driver
	plugins.ServeCtx(func(ctx context.Context, logger hclog.Logger) any {
		d = driver.New(ctx, logger)
		d.OutliveClient()
		return d
	})
	if d != nil {
		ctx, cancel := context.WithTimeout(context.Background(), endPatience)
		defer cancel()
		_ = d.Close(ctx) // the next plugin process goes on
	}
}

// endPatience bounds how long a plugin process waits, at its end, for what it does
// in the background; Nomad kills it after two seconds.
const endPatience = 1500 * time.Millisecond
