// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// Ends of runs that people have reported, acted by the stand-in solver under a real
// agent. The tests of package driver try all of them.
func TestDriver_TellsReportedEnds(t *testing.T) {
	t.Parallel()
	const folder = "../example/solver/testdata/plays"
	table, err := os.ReadFile(filepath.Join(folder, "want.tsv"))
	must.NoError(t, err)
	s := newSite(t, "")
	copied := filepath.Join(s.scratch, "plays")
	must.NoError(t, os.CopyFS(copied, os.DirFS(folder)))
	tried := []string{"completed", "case-first-failed", "error-in-last-rank", "error-plain-banner", "licence-lost", "hydra-killed", "slurm-time-limit", "eigenvalues", "limit-mass", "crash"}
	for line := range strings.Lines(string(table)) {
		row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if !slices.Contains(tried, row[0]) {
			continue
		}
		t.Run(row[0], func(t *testing.T) {
			r := s.submit(jobHCL{
				name: row[0], folder: s.deck(row[0], "solid_bar_impact"), config: "ncpu = 1",
				env: "STANDIN_PLAY = \"" + filepath.Join(copied, row[0], "play") + "\"",
			})
			status := api.AllocClientStatusFailed
			if row[1] == "completed" {
				status = api.AllocClientStatusComplete
			}
			alloc := r.wait(status, cluster.TaskEvent("lsdyna", row[2][1:])) // an event begins with a capital
			code, _, err := cluster.Exit(alloc, "lsdyna")
			must.NoError(t, err)
			must.Eq(t, status == api.AllocClientStatusComplete, code == 0)
		})
		tried = slices.DeleteFunc(tried, func(name string) bool { return name == row[0] })
	}
	must.SliceEmpty(t, tried)
}
