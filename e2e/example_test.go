// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// exampleJobs are the paths of all job files of the examples.
func exampleJobs(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../example/*/*.nomad.hcl")
	must.NoError(t, err)
	must.Positive(t, len(files))
	return files
}

// Nomad takes every example as it is, and with values for its variables. What it says of
// one that it refuses names what is wrong.
func TestAgent_TakesEveryExampleJob(t *testing.T) {
	t.Parallel()
	a := newAgent(t, cluster.Config{Role: cluster.ServerOnly})
	start(t, a)
	for _, file := range exampleJobs(t) {
		text, err := os.ReadFile(file)
		must.NoError(t, err)
		for name, variables := range map[string]string{"": "", " with variables": hclVariables(string(text), map[string]string{"solver": "other", "run_dir": "/srv/run"})} {
			t.Run(filepath.Base(file)+name, func(t *testing.T) {
				job, err := a.API.Jobs().ParseHCLOpts(&api.JobsParseRequest{JobHCL: string(text), Variables: variables, Canonicalize: true})
				must.NoError(t, err)
				found, _, err := a.API.Jobs().Validate(job, nil)
				must.NoError(t, err)
				must.SliceEmpty(t, found.ValidationErrors, must.Sprint(found.ValidationErrors))
				must.Eq(t, "", found.Warnings)
			})
		}
	}
}

// Every example has words beside it, and is found from the list of all.
func TestExamples_AreExplained(t *testing.T) {
	list, err := os.ReadFile("../example/README.md")
	must.NoError(t, err)
	for _, file := range exampleJobs(t) {
		below, err := filepath.Rel("../example", file)
		must.NoError(t, err)
		if filepath.Dir(below) == "jobs" {
			must.StrContains(t, string(list), "("+below+")")
			continue
		}
		_, err = os.Stat(filepath.Join(filepath.Dir(file), "README.md"))
		must.NoError(t, err)
		must.StrContains(t, string(list), "("+filepath.Dir(below)+"/README.md)")
	}
}

// Nomad takes the agent's configuration of the examples. What it does not look into is the
// plugin's block, which the tests of the driver's settings read.
func TestAgent_TakesTheExampleConfiguration(t *testing.T) {
	rest := filepath.Join(t.TempDir(), "rest.hcl")
	must.NoError(t, os.WriteFile(rest, []byte("data_dir = \"/opt/nomad/data\"\n"), 0o644))
	out, err := exec.CommandContext(within(t), binary(t, "nomad"), "config", "validate", rest, "../example/agent.hcl").CombinedOutput()
	must.NoError(t, err, must.Sprintf("%s", out))
}
