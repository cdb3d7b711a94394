// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package agentfile reads the configuration of a Nomad agent as the agent itself does, as
// far as it concerns one plugin, and knows on which line of which file each key stands.
//
// The agent's own code (command/agent in Nomad) links all of Nomad, so what it does with
// files and with their merging is done here again; what it does with their text is the
// same library.
package agentfile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/nomad/structs/config"
)

// maxFile bounds what is read of a file, in bytes.
const maxFile = 16 << 20

// Agent is an agent's configuration: that of all its files, merged.
type Agent struct {
	DataDir   string `hcl:"data_dir"`
	PluginDir string `hcl:"plugin_dir"`

	Client    Client    `hcl:"client"`
	Telemetry Telemetry `hcl:"telemetry"`

	Plugins []*config.PluginConfig `hcl:"plugin"`

	files []*file // that were read without an error, in their order
}

// Client is what of the agent's client block concerns the driver.
type Client struct {
	Enabled        bool              `hcl:"enabled"`
	AllocDir       string            `hcl:"alloc_dir"`
	MaxKillTimeout string            `hcl:"max_kill_timeout"`
	Options        map[string]string `hcl:"options"`
}

// Telemetry is what of the agent's telemetry block Nomad's UI needs for its graphs.
type Telemetry struct {
	PublishAllocationMetrics bool `hcl:"publish_allocation_metrics"`
	PublishNodeMetrics       bool `hcl:"publish_node_metrics"`
}

// Place is a line of a file.
type Place struct {
	File string
	Line int // from 1; 0 where it is not known
}

// Error is a file, or a line of it, that the agent cannot read.
type Error struct {
	Place Place
	Err   error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Read reads files and folders in their order. A folder stands for its files *.hcl and
// *.json in alphabetical order, without the folders in it. Files that cannot be read are
// told, and left out.
func Read(paths []string) (*Agent, []*Error) {
	a := &Agent{}
	var errs []*Error
	for _, path := range paths {
		names, err := expand(path)
		if err != nil {
			errs = append(errs, &Error{Place{File: path}, err})
		}
		for _, name := range names {
			f, err := readFile(name)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			a.merge(f)
		}
	}
	return a, errs
}

// Files are the names of the files, in the order in which they were read.
func (a *Agent) Files() []string {
	names := make([]string, len(a.files))
	for i, f := range a.files {
		names[i] = f.name
	}
	return names
}

func expand(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{filepath.Clean(path)}, nil
	}
	entries, err := os.ReadDir(path) // sorted
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		name := entry.Name()
		if !entry.IsDir() && (strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".json")) && !isTemporary(name) {
			names = append(names, filepath.Join(path, name))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("the folder has no file *.hcl or *.json, and the agent reads no others")
	}
	return names, nil
}

// isTemporary reports whether an editor (vim, emacs) keeps the file for itself.
func isTemporary(name string) bool {
	return strings.HasSuffix(name, "~") || strings.HasPrefix(name, ".#") ||
		strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#")
}

// merge adds a file as the agent does: what a later file sets counts. Switches that one
// file has set stay so.
func (a *Agent) merge(f *file) {
	a.files = append(a.files, f)
	set := func(to *string, from string) {
		if from != "" {
			*to = from
		}
	}
	set(&a.DataDir, f.agent.DataDir)
	set(&a.PluginDir, f.agent.PluginDir)
	set(&a.Client.AllocDir, f.agent.Client.AllocDir)
	set(&a.Client.MaxKillTimeout, f.agent.Client.MaxKillTimeout)
	a.Client.Enabled = a.Client.Enabled || f.agent.Client.Enabled
	for key, value := range f.agent.Client.Options {
		if a.Client.Options == nil {
			a.Client.Options = map[string]string{}
		}
		a.Client.Options[key] = value
	}
	t := &a.Telemetry
	t.PublishAllocationMetrics = t.PublishAllocationMetrics || f.agent.Telemetry.PublishAllocationMetrics
	t.PublishNodeMetrics = t.PublishNodeMetrics || f.agent.Telemetry.PublishNodeMetrics
	a.Plugins = config.PluginConfigSetMerge(a.Plugins, f.agent.Plugins)
}

// Plugin returns the block of a plugin, nil where there is none.
func (a *Agent) Plugin(name string) *config.PluginConfig {
	i := slices.IndexFunc(a.Plugins, func(p *config.PluginConfig) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return a.Plugins[i]
}

// Configs are the places of all config blocks of a plugin. The last one counts, and the
// others do not: the agent does not merge them.
func (a *Agent) Configs(plugin string) (places []Place) {
	for _, f := range a.files {
		for _, line := range f.all("plugin", plugin, "config") {
			places = append(places, Place{f.name, line})
		}
	}
	return places
}

// Where returns the place of a key that counts, or of the nearest block around it:
// "plugin", "raw_exec", "config", "enabled" are the names of blocks and labels that lead
// to it. The zero value is for what no file has.
func (a *Agent) Where(path ...string) (found Place) {
	best := 0
	for _, f := range a.files {
		if line, depth := f.find(path); depth > 0 && depth >= best {
			found, best = Place{f.name, line}, depth
		}
	}
	return found
}

// Has reports whether a key stands in some file.
func (a *Agent) Has(path ...string) bool {
	return slices.ContainsFunc(a.files, func(f *file) bool {
		_, depth := f.find(path)
		return depth == len(path)
	})
}

// Bare returns a plugin's settings where no file has a plugin block, but one has what
// stands in such a block: a config block, or some of the keys of its schema. prefix is how
// Where finds them. It returns nil where there is neither.
func (a *Agent) Bare(known []string) (settings map[string]any, prefix []string) {
	if len(a.Plugins) > 0 {
		return nil, nil
	}
	for _, f := range slices.Backward(a.files) {
		if block := f.config(); block != nil {
			return block, []string{"config"}
		}
		if slices.ContainsFunc(known, func(key string) bool { _, depth := f.find([]string{key}); return depth > 0 }) {
			return f.whole(), nil
		}
	}
	return nil, nil
}
