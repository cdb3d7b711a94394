// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"embed"
	"fmt"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/statedir"
)

// helpPages are the pages of all commands, without the heading: what completions and the
// man page are made of, too.
//
//go:embed help/*.txt
var helpPages embed.FS

// helpOf is the page of a command; without one it has no help, which a test sees.
func helpOf(name string) string {
	text, err := helpPages.ReadFile("help/" + name + ".txt")
	if err != nil {
		return ""
	}
	return string(text)
}

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

// helpWidth is that of a terminal which nobody has made wider.
const helpWidth = 80

// page is the whole help of a command.
func (c command) page() string {
	var b strings.Builder
	b.WriteString("NAME\n")
	for _, l := range screen.Wrap(fmt.Sprintf("%s %s - %s", program, c.name, c.summary), helpWidth-2, 4) {
		b.WriteString("  " + screen.Screen{}.RenderLine(l) + "\n")
	}
	return b.String() + "\n" + c.help
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
