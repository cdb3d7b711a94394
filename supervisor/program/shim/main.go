// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Command shim is package supervisor/shim alone: what a supervisor and a launch stage
// need, without Nomad's plugin machinery. The build embeds it into the plugin.
package main

import (
	"os"

	_ "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/shim" // its init does the work
)

func main() {
	_, _ = os.Stderr.WriteString("This is a part of nomad-driver-lsdyna, which calls it by itself.\n")
	os.Exit(2)
}
