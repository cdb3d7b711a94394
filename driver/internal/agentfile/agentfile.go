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
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/hcl/ast"
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

	Empty []string // folders that have no file which the agent reads

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
		switch {
		case err != nil:
			errs = append(errs, &Error{Place{File: path}, err})
		case len(names) == 0:
			a.Empty = append(a.Empty, path)
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

// Where returns the place of a key that counts, or of the nearest block around it:
// "plugin", "raw_exec", "config", "enabled" are the names of blocks and labels that lead
// to it. The zero value is for what no file has.
func (a *Agent) Where(path ...string) (found Place) {
	best := 0
	for _, part := range a.parts(path) {
		if line, depth := find(part.list, part.path); depth > 0 && depth >= best {
			found, best = Place{part.file.name, line}, depth
		}
	}
	if best == 0 && len(path) > 2 && path[0] == "plugin" {
		return a.Where(path[:2]...)
	}
	return found
}

// Has reports whether a key stands in some file, where it counts.
func (a *Agent) Has(path ...string) bool {
	return slices.ContainsFunc(a.parts(path), func(part part) bool {
		_, depth := find(part.list, part.path)
		return depth == len(part.path)
	})
}

// part is where a path is looked for, and what of it leads on from there.
type part struct {
	file *file
	list *ast.ObjectList
	path []string
}

// parts are all files, but of a plugin's settings the one block that counts.
func (a *Agent) parts(path []string) (parts []part) {
	if len(path) > 2 && path[0] == "plugin" && path[2] == "config" {
		if b, _ := a.Configs(path[1]); b != nil {
			parts = append(parts, part{b.file, b.content, path[2:]})
		}
		return parts
	}
	for _, f := range a.files {
		parts = append(parts, part{f, f.root, path})
	}
	return parts
}

// Bare returns a plugin's settings where the files are no agent's: one file, that has
// nothing but what stands in a plugin block, a config block or keys of its schema. prefix is
// how Where finds them. It returns nil where there is more, or neither.
func (a *Agent) Bare(known []string) (settings map[string]any, prefix []string) {
	if len(a.Plugins) > 0 || len(a.files) != 1 {
		return nil, nil
	}
	f := a.files[0]
	keys := f.keys()
	has := func(key string) bool { return slices.Contains(keys, key) }
	switch {
	case len(keys) == 1 && has("config"):
		return f.config(), []string{"config"}
	case slices.ContainsFunc(known, has) && !slices.ContainsFunc(agents, has):
		return f.whole(), nil
	}
	return nil, nil
}

// agents are keys that do not stand among a plugin's settings, but in an agent's files.
var agents = []string{"acl", "addresses", "advertise", "bind_addr", "client", "config", "consul", "data_dir", "datacenter", "log_level", "name", "plugin_dir", "ports", "region", "server", "telemetry", "tls", "vault"}

// Stray returns the places of keys that stand at the top of some file and are those of a
// plugin's settings, by their names. The agent refuses them there.
func (a *Agent) Stray(known []string) map[string]Place {
	stray := map[string]Place{}
	for _, f := range a.files {
		for _, key := range append(known, "config") {
			if line, depth := find(f.root, []string{key}); depth > 0 {
				stray[key] = Place{f.name, line}
			}
		}
	}
	return stray
}
