// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package checkconfig is how the command check-config is called, and how it shows what the
// driver has found in an agent's configuration.
package checkconfig

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/findings"
)

// paths are the values of an option that may be repeated.
type paths []string

func (p *paths) String() string { return strings.Join(*p, " ") }

// Set adds a value.
func (p *paths) Set(value string) error {
	*p = append(*p, value)
	return nil
}

// Call is a call of the command.
type Call struct {
	JSON bool

	request findings.Request
	configs paths
}

// Flags makes a call of flags that are still to be parsed.
func Flags(fs *flag.FlagSet) *Call {
	c := &Call{}
	fs.Var(&c.configs, "config", "")
	fs.StringVar(&c.request.DataDir, "data-dir", "", "")
	fs.StringVar(&c.request.PluginDir, "plugin-dir", "", "")
	fs.BoolVar(&c.JSON, "json", false, "")
	return c
}

// Request is what is to be checked, with the arguments that were no flags.
func (c *Call) Request(args []string) (findings.Request, error) {
	c.request.Paths = slices.Concat(c.configs, args)
	if len(c.request.Paths) == 0 {
		return findings.Request{}, errors.New("name the files and folders that the agent gets with -config, such as /etc/nomad.d")
	}
	return c.request, nil
}

// Lines shows a report, each finding on a line as compilers do.
func Lines(r findings.Report) []screen.Line {
	var lines []screen.Line
	show := func(style screen.Style, kind string, all []findings.Finding) {
		for _, f := range all {
			line := screen.Text(screen.Clean(place(f)))
			line.Add(style, kind)
			line.Add(screen.Plain, ": "+screen.Clean(f.Text))
			lines = append(lines, line)
		}
	}
	show(screen.Red, "error", r.Errors)
	show(screen.Yellow, "warning", r.Warnings)
	for _, note := range r.Notes {
		lines = append(lines, screen.Text("note: "+screen.Clean(note)))
	}
	if len(r.Settings) > 0 {
		lines = append(lines, table(r.Settings)...)
	}
	return append(lines, screen.Text(verdict(r)))
}

// place is where a finding stands, as compilers tell it.
func place(f findings.Finding) string {
	switch {
	case f.File == "":
		return ""
	case f.Line == 0:
		return f.File + ": "
	}
	return fmt.Sprintf("%s:%d: ", f.File, f.Line)
}

// table lists settings.
func table(settings []findings.Setting) []screen.Line {
	width := 0
	for _, s := range settings {
		width = max(width, len(s.Key))
	}
	lines := []screen.Line{screen.Text("The driver takes:")}
	for _, s := range settings {
		value := s.Value
		if value == "" {
			value = `""`
		}
		if s.Default {
			value += "  (default)"
		}
		lines = append(lines, screen.Text(screen.Clean(fmt.Sprintf("  %-*s  %s", width, s.Key, value))))
	}
	return lines
}

// verdict is the last line.
func verdict(r findings.Report) string {
	switch {
	case len(r.Errors) > 0:
		return fmt.Sprintf("%s: the agent, or the driver in it, would not start with this.", screen.Plural(len(r.Errors), "error"))
	case len(r.Warnings) > 0:
		return fmt.Sprintf("No error, %s.", screen.Plural(len(r.Warnings), "warning"))
	}
	return "No error, no warning."
}
