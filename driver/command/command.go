// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package command holds the commands for operators: status, topology, plan,
// inspect, metrics and version.
package command

import (
	"context"
	"fmt"
	"io"
)

// Run executes a command and returns its exit code.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fmt.Fprintln(stderr, "unknown command")
	return 2
}
