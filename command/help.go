// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/statedir"
)

const helpHelp = `USAGE
  nomad-driver-lsdyna help [COMMAND]

DESCRIPTION
  Without COMMAND, lists the commands; with it, explains one. COMMAND -h does
  the same.

ENVIRONMENT
  NOMAD_DRIVER_LSDYNA_STATE_DIR
                  The agent's state_dir, for all commands that read it. -state-dir
                  comes before; without both it is the one that the plugin names in its
                  status_dir, else /var/lib/nomad-driver-lsdyna.
  NOMAD_DRIVER_LSDYNA_STATUS_DIR
                  The agent's status_dir, else /run/nomad-driver-lsdyna. Empty where the
                  agent's configuration has status_dir = "".
  NO_COLOR        No colour.
  COLUMNS         The width where the output is no terminal.

EXIT STATUS
  0, or 2 when there is no such command.
`

func runHelp(_ context.Context, args []string, s streams) error {
	names, err := parse(newFlags("help"), args)
	switch {
	case err != nil:
		return err
	case len(names) == 0:
		return write(s.out, overview())
	case len(names) > 1:
		return usagef("name one command, not %d", len(names))
	}
	c, ok := find(names[0])
	if !ok {
		return usagef("there is no command %q", names[0])
	}
	return write(s.out, c.page())
}

// page is the whole help of a command.
func (c command) page() string {
	return fmt.Sprintf("NAME\n  %s %s - %s\n\n%s", program, c.name, c.summary, c.help)
}

// overview lists the commands.
func overview() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s.\n\n", program, programSummary)
	fmt.Fprintf(&b, "Without arguments it is the plugin that the Nomad agent launches. For operators:\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-14s  %s\n", c.name, c.summary)
	}
	fmt.Fprintf(&b, "\nMore on one of them: %s help COMMAND\nWhere the agent's state_dir is not found: %s=DIR\n", program, statedir.Env)
	return b.String()
}
