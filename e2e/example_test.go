// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// Nomad takes every example as it is, and with values for its variables. What it says of
// one that it refuses names what is wrong.
func TestAgent_TakesEveryExampleJob(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../example/jobs/*.hcl")
	must.NoError(t, err)
	must.NonZero(t, len(files))
	a := newAgent(t, cluster.Config{Role: cluster.ServerOnly})
	start(t, a)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must.NoError(t, err)
		for name, variables := range map[string]string{"": "", " with variables": "solver = \"other\"\nrun_dir = \"/srv/run\"\n"} {
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
