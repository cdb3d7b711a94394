// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"os"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/worker"
)

// workerCommands read run folders, whose file servers may not answer.
var workerCommands = []string{"status", "metrics", "inspect", "report"}

// Main executes the command that args begin with for the shell that started this
// program, and returns the exit code as Run does.
func Main(args []string) int {
	run := func() int { return Run(context.Background(), args, os.Stdout, os.Stderr) }
	if len(args) > 0 && slices.Contains(workerCommands, args[0]) {
		return worker.Run(program, args, run)
	}
	return run()
}
