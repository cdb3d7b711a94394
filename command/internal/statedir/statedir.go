// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package statedir finds the state_dir of this node's agent for the commands: the one that
// the call names, else the environment, else the plugin itself in its status_dir, else the
// default.
package statedir

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/public"
)

// Default is the agent's state_dir where its configuration has none.
const Default = "/var/lib/nomad-driver-lsdyna"

// Env names the agent's state_dir and StatusEnv its status_dir for all commands, so that
// nobody has to name them again and again on a node where they are not the defaults. An
// empty StatusEnv is a node where the plugin tells nothing.
const (
	Env       = "NOMAD_DRIVER_LSDYNA_STATE_DIR"
	StatusEnv = "NOMAD_DRIVER_LSDYNA_STATUS_DIR"
)

// Call is what a call says of the agent's folders.
type Call struct {
	named  string // -state-dir
	status string // -status-dir, else by the environment, else the default
}

// Flag adds the flag -state-dir. What is returned is read after the call was parsed.
func Flag(flags *flag.FlagSet) *Call {
	c := &Call{status: public.DefaultDir}
	if dir, ok := os.LookupEnv(StatusEnv); ok {
		c.status = dir
	}
	flags.Func("state-dir", "", func(dir string) error {
		if dir == "" {
			return errors.New("name the agent's state_dir")
		}
		c.named = dir
		return nil
	})
	return c
}

// StatusFlag adds the flag -status-dir.
func (c *Call) StatusFlag(flags *flag.FlagSet) {
	flags.StringVar(&c.status, "status-dir", c.status, "")
}

// InCall reports whether the call itself names a state_dir, and Named whether it or the
// environment does.
func (c *Call) InCall() bool { return c.named != "" }

// Named is told with InCall.
func (c *Call) Named() bool { return c.InCall() || os.Getenv(Env) != "" }

// StatusDir is the agent's status_dir; "" where the plugin tells nothing.
func (c *Call) StatusDir() string { return c.status }

// Dir is the agent's state_dir.
func (c *Call) Dir() string {
	for _, dir := range []string{c.named, os.Getenv(Env)} {
		if dir != "" {
			return filepath.Clean(dir)
		}
	}
	if dir := public.StateDir(c.status); dir != "" {
		// A plugin that was tried once and removed with its state_dir left its word, too.
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return dir
		}
	}
	return Default
}
