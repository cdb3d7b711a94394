// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
	"text/template"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

const packDir = "../packs/lsdyna/"

// packDefaults are the values of the pack's variables. Nomad reads them: variables of packs
// and of jobs are written alike.
func packDefaults(t *testing.T, a *cluster.Agent) map[string]any {
	t.Helper()
	text, err := os.ReadFile(packDir + "variables.hcl")
	must.NoError(t, err)
	job := string(text) + "\njob \"values\" {\n  meta {\n"
	for _, m := range declaration.FindAllStringSubmatch(string(text), -1) {
		job += fmt.Sprintf("    %s = jsonencode(var.%[1]s)\n", m[1])
	}
	parsed, err := a.API.Jobs().ParseHCLOpts(&api.JobsParseRequest{JobHCL: job + "  }\n}\n"})
	must.NoError(t, err)
	values := map[string]any{}
	for name, text := range parsed.Meta {
		var value any
		must.NoError(t, json.Unmarshal([]byte(text), &value))
		values[name] = value
	}
	must.Positive(t, len(values))
	return values
}

// renderPack does what nomad-pack does with the template, with those of its functions that
// the pack uses.
func renderPack(t *testing.T, values map[string]any) string {
	t.Helper()
	functions := template.FuncMap{
		"var": func(name string, _ any) (any, error) {
			value, ok := values[name]
			if !ok {
				return nil, fmt.Errorf("the pack has no variable %q", name)
			}
			return value, nil
		},
		"meta":  func(string, any) string { return "lsdyna" },
		"quote": func(v any) string { return fmt.Sprintf("%q", fmt.Sprint(v)) },
		"int":   func(v any) int { return int(v.(float64)) },
	}
	templates, err := template.New("lsdyna").Delims("[[", "]]").Funcs(functions).Option("missingkey=error").
		ParseFiles(packDir+"templates/_helpers.tpl", packDir+"templates/lsdyna.nomad.tpl", packDir+"outputs.tpl")
	must.NoError(t, err)
	var job, outputs strings.Builder
	must.NoError(t, templates.ExecuteTemplate(&job, "lsdyna.nomad.tpl", nil))
	must.NoError(t, templates.ExecuteTemplate(&outputs, "outputs.tpl", nil))
	must.StrContains(t, outputs.String(), values["run_dir"].(string))
	return job.String()
}

func TestDriver_PackIsPlanned(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	defaults := packDefaults(t, s.Agent)
	node, err := s.Node()
	must.NoError(t, err)
	for _, c := range []struct {
		name   string
		values map[string]any
		job    string // its name
		lacks  string // what this one node has not
		check  func(*api.TaskGroup, map[string]any)
	}{
		{name: "as it is", job: "lsdyna", check: func(g *api.TaskGroup, config map[string]any) {
			must.Nil(t, config["watch"])
			must.Nil(t, config["nodes"])
			must.Eq(t, 4, *g.Tasks[0].Resources.Cores)
		}},
		{name: "of one core", job: "lsdyna", values: map[string]any{"cores": 1.0, "memory": 100.0}},
		{name: "with all that it has", job: "crash", values: map[string]any{
			"job_name": "crash", "region": "global", "namespace": "default", "node_pool": "default", "datacenters": []any{"dc1", "dc2"},
			"priority": 70.0, "user": "nobody", "solver": "standin", "run_dir": s.scratch, "input": "small.k", "cores": 1.0, "memory": 100.0,
			"restart": "never", "checkpoint": "1h", "args": []any{"d=nodump", "case"}, "energy_ratio": "1.1", "silence": "1h",
			"watch_action": "stop", "kill_timeout": "5m", "attempts": 2.0, "report": false,
			"constraints": []any{map[string]any{"attribute": "${node.unique.id}", "operator": "=", "value": node.ID}},
		}, check: func(g *api.TaskGroup, config map[string]any) {
			must.Eq(t, "small.k", config["input"])
			must.Eq(t, []any{"d=nodump", "case"}, config["args"].([]any))
			must.Eq(t, "1.1", config["watch"].([]any)[0].(map[string]any)["energy_ratio"])
			must.Eq(t, 2, *g.RestartPolicy.Attempts)
			must.Eq(t, "nobody", g.Tasks[0].User)
		}},
		{
			name: "on two nodes", job: "lsdyna", values: map[string]any{"nodes": 2.0, "cores": 1.0, "memory": 100.0}, lacks: "distinct_hosts",
			check: func(g *api.TaskGroup, config map[string]any) {
				must.Eq(t, 2, *g.Count)
				must.Eq(t, "2", fmt.Sprint(config["nodes"]))
				must.Eq(t, "launch", g.Networks[0].DynamicPorts[0].Label)
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			values := maps.Clone(defaults)
			maps.Copy(values, c.values)
			job, err := s.API.Jobs().ParseHCLOpts(&api.JobsParseRequest{JobHCL: renderPack(t, values), Canonicalize: true})
			must.NoError(t, err)
			must.Eq(t, c.job, *job.ID)
			found, _, err := s.API.Jobs().Validate(job, nil)
			must.NoError(t, err)
			must.SliceEmpty(t, found.ValidationErrors)
			plan, _, err := s.API.Jobs().Plan(job, false, nil)
			must.NoError(t, err)
			why := ""
			for _, m := range plan.FailedTGAllocs {
				why += fmt.Sprint(m.ConstraintFiltered, m.DimensionExhausted)
			}
			switch {
			case c.lacks != "":
				must.StrContains(t, why, c.lacks)
			case c.values != nil: // the defaults may be too large for this machine
				must.Eq(t, "", why)
			}
			if c.check != nil {
				group := job.TaskGroups[0]
				c.check(group, group.Tasks[0].Config)
			}
		})
	}
}

// The pack's README has every variable, and no other.
func TestPack_VariablesAreExplained(t *testing.T) {
	text, err := os.ReadFile(packDir + "variables.hcl")
	must.NoError(t, err)
	readme, err := os.ReadFile(packDir + "README.md")
	must.NoError(t, err)
	told := map[string]bool{}
	for line := range strings.Lines(string(readme)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
			told[m[1]] = true
		}
	}
	declared := map[string]bool{}
	for _, m := range declaration.FindAllStringSubmatch(string(text), -1) {
		declared[m[1]] = true
	}
	must.Eq(t, declared, told)
}
