// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package checkconfig says before a Nomad agent is started whether it would take the
// driver's configuration: one wrong word in a plugin block stops the whole agent. It reads
// the agent's files as the agent does, decodes the block with the schema and the checks of
// SetConfig, and then looks at what the machine has of it.
package checkconfig

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/nomad/nomad/structs/config"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/agentfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/findings"
)

// Names are the driver's: of its plugin block, and in job files.
type Names struct {
	Plugin, Driver string
}

// Check reads what a request names, and looks at the machine that it is called on.
func (n Names) Check(ctx context.Context, r findings.Request) findings.Report {
	agent, errs := agentfile.Read(r.Paths)
	c := &check{names: n, agent: agent}
	for _, err := range errs {
		c.report.Errors = append(c.report.Errors, findings.Finding{File: err.Place.File, Line: err.Place.Line, Text: err.Error()})
	}
	c.report.Files = agent.Files()
	for _, folder := range agent.Empty {
		c.report.Notes = append(c.report.Notes, fmt.Sprintf("%s has no file *.hcl or *.json, and the agent reads no others", folder))
	}
	if r.DataDir != "" {
		agent.DataDir = r.DataDir
	}
	if r.PluginDir != "" {
		agent.PluginDir = r.PluginDir
	}
	block := c.findBlock()
	if block != nil {
		c.checkBlock(ctx, block)
	}
	c.finish()
	return c.report
}

// check is one check on its way.
type check struct {
	names  Names
	agent  *agentfile.Agent
	prefix []string // where the settings stand
	bare   bool     // the files are no agent's, but have the driver's settings only
	report findings.Report
}

// refuse tells an error, and warn a warning, about what stands at a path.
func (c *check) refuse(path []string, format string, args ...any) {
	c.report.Errors = append(c.report.Errors, c.finding(path, fmt.Sprintf(format, args...)))
}

func (c *check) warn(path []string, format string, args ...any) {
	c.report.Warnings = append(c.report.Warnings, c.finding(path, fmt.Sprintf(format, args...)))
}

func (c *check) finding(path []string, text string) findings.Finding {
	return findingAt(c.agent.Where(path...), c.name(path), "%s", text)
}

func findingAt(at agentfile.Place, key, format string, args ...any) findings.Finding {
	return findings.Finding{File: at.File, Line: at.Line, Key: key, Text: fmt.Sprintf(format, args...)}
}

// name is a path as reports have it: the driver's own keys are named from its config block.
func (c *check) name(path []string) string {
	if len(c.prefix) > 0 && len(path) > len(c.prefix) && slices.Equal(path[:len(c.prefix)], c.prefix) {
		path = path[len(c.prefix):]
	}
	return strings.Join(path, ".")
}

// own is the path of a key of the driver's block.
func (c *check) own(key settings.Key) []string { return slices.Concat(c.prefix, key) }

// findBlock returns the driver's settings as the agent's parser has them; nil, with an
// error in the report, where there are none.
func (c *check) findBlock() map[string]any {
	block, prefix := c.agent.Bare(keysOf(settings.Spec))
	if block != nil {
		c.prefix, c.bare = prefix, true
		return block
	}
	stray := c.tellStray()
	if plugin := c.agent.Plugin(c.names.Plugin); plugin != nil {
		c.prefix = []string{"plugin", c.names.Plugin, "config"}
		c.checkPlugin(plugin)
		if plugin.Config == nil {
			return map[string]any{}
		}
		return plugin.Config
	}
	if stray {
		return nil
	}
	var near []string
	for _, p := range c.agent.Plugins {
		if p.Name == c.names.Driver || levenshtein.Distance(p.Name, c.names.Plugin, nil) <= 4 {
			near = []string{"plugin", p.Name}
		}
	}
	if near != nil {
		c.refuse(near, "plugin %q: the agent knows a plugin by its file's name; write plugin %q", near[1], c.names.Plugin)
		return nil
	}
	if len(c.report.Errors) > 0 {
		return nil // the block may be in a file that cannot be read
	}
	c.report.Errors = append(c.report.Errors, findings.Finding{Text: fmt.Sprintf("no file has a block plugin %q { config { … } }, and without one the agent does not load the driver", c.names.Plugin)})
	return nil
}

// checkPlugin looks at what stands beside the config block.
func (c *check) checkPlugin(plugin *config.PluginConfig) {
	at := []string{"plugin", plugin.Name}
	if len(plugin.Args) > 0 {
		c.refuse(append(at, "args"), "args: with arguments the plugin is a command for operators, and no plugin: remove them")
	}
	ignored := c.agent.Ignored(plugin.Name)
	for _, key := range slices.Sorted(maps.Keys(ignored)) {
		c.report.Warnings = append(c.report.Warnings, findingAt(ignored[key], key, "plugin %q: there is no key %q, and the agent passes over it and what stands in it%s",
			plugin.Name, key, didYouMean(key, []string{"config", "args"})))
	}
	counts, others := c.agent.Configs(plugin.Name)
	for _, other := range others {
		last := counts.Place()
		c.report.Warnings = append(c.report.Warnings, findingAt(other.Place(), "config",
			"the agent does not merge config blocks of several plugin blocks: nothing of this one counts, but what stands in %s, line %d; make one of them", last.File, last.Line))
	}
}

// tellStray tells of settings that stand in no plugin block, in files that are an agent's,
// and reports whether there are such.
func (c *check) tellStray() bool {
	stray := c.agent.Stray(keysOf(settings.Spec))
	for _, key := range slices.Sorted(maps.Keys(stray)) {
		c.report.Errors = append(c.report.Errors, findingAt(stray[key], key,
			"%s stands in no plugin block, and the agent does not start with it: write plugin %q { config { … } } around the driver's settings", key, c.names.Plugin))
	}
	return len(stray) > 0
}

// checkBlock decodes the settings, and where they are sound looks at the rest.
func (c *check) checkBlock(ctx context.Context, block map[string]any) {
	decoded, problems := decode(block)
	for _, p := range problems {
		c.refuse(c.own(p.key), "%s", p.text)
	}
	if len(problems) > 0 {
		var more []problem
		if decoded, more = decode(mend(block, problems)); len(more) == 0 {
			_, err := settings.Parse(decoded)
			c.refuseFaults(block, err)
		}
	} else {
		node, err := settings.Parse(decoded)
		c.refuseFaults(block, err)
		if err == nil {
			c.report.Settings = c.table(decoded, node)
			c.lookAtMachine(ctx, node)
		}
	}
	if !c.bare {
		c.checkAgent()
	}
}

// refuseFaults tells what the driver refuses.
func (c *check) refuseFaults(block map[string]any, err error) {
	for _, fault := range settings.Faults(err) {
		value, _ := valueAt(block, fault.Key).(string) // of a block nothing
		c.refuse(c.own(fault.Key), "%v%s", fault, didYouMean(value, fault.Key.Words()))
	}
	if err != nil && len(c.report.Errors) == 0 {
		c.refuse(c.prefix, "%v", err)
	}
}

// didYouMean names the word that is nearest to a value, if one is near.
func didYouMean(value string, words []string) string {
	const far = 3
	best, nearest := far, ""
	for _, word := range words {
		if d := levenshtein.Distance(strings.ToLower(value), word, nil); d < best && d < len(word) {
			best, nearest = d, word
		}
	}
	if nearest == "" || nearest == value {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", nearest)
}

// shortKillTimeout is the agent's max_kill_timeout below which a dump is at risk, and
// nomadKillTimeout what it is where no file names it.
const (
	shortKillTimeout = 2 * time.Minute
	nomadKillTimeout = 30 * time.Second
)

// checkAgent looks at what the driver needs of the rest of the configuration.
func (c *check) checkAgent() {
	a := c.agent
	if !a.Client.Enabled {
		c.warn([]string{"client"}, "client: the agent is no client with these files (enabled = true is missing), and servers run no tasks")
	}
	c.checkDriverLists()
	patience := []string{"client", "max_kill_timeout"}
	d, err := time.ParseDuration(a.Client.MaxKillTimeout)
	switch {
	case a.Client.MaxKillTimeout == "":
		c.warn([]string{"client"}, "client: max_kill_timeout is not set, and Nomad's %s cap the kill_timeout of all jobs: too short for a dump; write max_kill_timeout = \"30m\"", nomadKillTimeout)
	case err != nil:
		c.refuse(patience, "client: max_kill_timeout must be a duration with its unit, such as \"30m\", not %q", a.Client.MaxKillTimeout)
	case d < shortKillTimeout:
		c.warn(patience, "client: max_kill_timeout caps the kill_timeout of all jobs, and %s is short for a dump; 30m is usual", d)
	}
	if t := a.Telemetry; !t.PublishAllocationMetrics || !t.PublishNodeMetrics {
		c.warn([]string{"telemetry"}, "telemetry: publish_allocation_metrics and publish_node_metrics are not both true, and without them Nomad's UI has no graphs of CPU and memory: write telemetry { publish_allocation_metrics = true, publish_node_metrics = true }, one on each line")
	}
}

// checkDriverLists looks for lists of the client's options that leave the driver out.
func (c *check) checkDriverLists() {
	has := func(list string) bool {
		return slices.ContainsFunc(strings.Split(list, ","), func(name string) bool { return strings.TrimSpace(name) == c.names.Driver })
	}
	for _, key := range []string{"driver.allowlist", "driver.whitelist"} {
		if list := c.agent.Client.Options[key]; list != "" && !has(list) {
			c.warn([]string{"client", "options", key}, "client: options %q does not name %s, so the agent does not use the driver: add it", key, c.names.Driver)
		}
	}
	for _, key := range []string{"driver.denylist", "driver.blacklist"} {
		if has(c.agent.Client.Options[key]) {
			c.warn([]string{"client", "options", key}, "client: options %q names %s, so the agent does not use the driver: take it out", key, c.names.Driver)
		}
	}
}

// finish puts findings in the order of files and lines.
func (c *check) finish() {
	order := func(a, b findings.Finding) int {
		rank := func(f findings.Finding) int {
			if i := slices.Index(c.report.Files, f.File); i >= 0 {
				return i
			}
			return len(c.report.Files) // of no file
		}
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return a.Line - b.Line
	}
	slices.SortStableFunc(c.report.Errors, order)
	slices.SortStableFunc(c.report.Warnings, order)
}
