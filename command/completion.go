// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/manual"
)

// asProgram is this program as its help tells it.
func asProgram() manual.Program {
	p := manual.Program{Name: program, Version: findVersion().Version, Summary: programSummary}
	for _, c := range commands() {
		p.Commands = append(p.Commands, manual.Command{Name: c.name, Summary: c.summary, Help: c.help})
	}
	return p
}

func runCompletion(_ context.Context, args []string, s streams) error {
	shells, err := parse(newFlags("completion"), args)
	switch {
	case err != nil:
		return err
	case len(shells) != 1:
		return usagef("name one shell: bash, zsh or fish")
	}
	p := asProgram()
	switch shells[0] {
	case "bash":
		return write(s.out, p.Bash())
	case "zsh":
		return write(s.out, p.Zsh())
	case "fish":
		return write(s.out, p.Fish())
	}
	return usagef("there is none for %q: name bash, zsh or fish", shells[0])
}

func runMan(_ context.Context, args []string, s streams) error {
	if err := parseOnly(newFlags("man"), args); err != nil {
		return err
	}
	return write(s.out, asProgram().Man())
}
