// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// warned is stdout with warnings.
const warned = " *** Warning 21129 (STR+1129)\n     shell element, ID 1 violates heuristic shape criterion\n\n *** Warning 21129 (STR+1129)\n"

// watched is a state_dir with a task that has a glstat.
func watched(t *testing.T, statistics string) string {
	t.Helper()
	dir := nodetest.StateDir(t)
	folder := nodetest.Task{Job: "crash", Alloc: allocA, Name: "solve", Cores: []int{0}, Since: time.Hour, Stdout: nodetest.Solving(5, 1e-2) + warned}.Make(t, dir)
	if statistics != "" {
		topologytest.WriteFile(t, filepath.Join(folder, "glstat"), statistics)
	}
	return dir
}

func TestStatus_saysWhatIsOutOfTheOrdinaryInARun(t *testing.T) {
	t.Setenv("COLUMNS", "160")
	for name, c := range map[string]struct {
		statistics string
		says       []string
	}{
		"nothing":   {nodetest.Statistics(4e-3, 1.01, 5, 1), nil},
		"no glstat": {"", nil},
		"energies":  {nodetest.Statistics(4e-3, 1.25, 12, 7.5), []string{"A: energy ratio 1.25 at t = 0.004", "A: hourglass energy is 12 % of the internal energy at t = 0.004", "A: added mass is 7.5 % of the physical mass at t = 0.004"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, "status", "-state-dir", watched(t, c.statistics), "-sysfs", twoSockets.Sysfs(t))
			must.Eq(t, exitOK, r.code)
			for _, words := range c.says {
				must.StrContains(t, r.out, words)
			}
			if c.says == nil {
				must.StrNotContains(t, r.out, "\nA: ")
			}
		})
	}
}

func TestStatus_jsonHasTheHealthOfRuns(t *testing.T) {
	var got node.Report
	r := call(t, "status", "-json", "-state-dir", watched(t, nodetest.Statistics(4e-3, 1.25, 5, 1)), "-sysfs", twoSockets.Sysfs(t))
	must.NoError(t, json.Unmarshal([]byte(r.out), &got))
	must.Len(t, 1, got.Tasks)
	h := got.Tasks[0].Health
	must.NotNil(t, h)
	must.Eq(t, 1.25, *h.Ratio)
	must.Eq(t, 5, *h.HourglassPercent)
	must.Eq(t, "shell 4711 of part 12", *h.Controls)
	must.Eq(t, []string{"energy ratio 1.25 at t = 0.004"}, h.Notes)
	must.Eq(t, 21129, h.Kinds[0].Code)
	must.Eq(t, 2, h.Kinds[0].Count)
	must.NotNil(t, h.Quiet)
	must.Between(t, 0, *h.Quiet, 60)
}

func TestMetrics_haveTheHealthOfRuns(t *testing.T) {
	r := call(t, "metrics", "-state-dir", watched(t, nodetest.Statistics(4e-3, 1.25, 5, 1)), "-sysfs", twoSockets.Sysfs(t))
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(r.out))
	must.NoError(t, err)
	owner := map[string]string{"job": "crash", "alloc_id": allocA, "task": "solve"}
	for name, want := range map[string]float64{
		"lsdyna_task_energy_ratio": 1.25, "lsdyna_task_hourglass_ratio": 0.05, "lsdyna_task_added_mass_ratio": 0.01, "lsdyna_task_time_step": 1e-6, "lsdyna_task_largest_time_step": 1e-6,
	} {
		must.Eq(t, want, metric(t, families[name], owner).GetGauge().GetValue(), must.Sprint(name))
	}
	owner["code"] = "21129"
	must.Eq(t, 2, metric(t, families["lsdyna_task_warnings_by_code_total"], owner).GetCounter().GetValue())
	for name, family := range families {
		must.StrContains(t, helpOf("metrics"), name, must.Sprint("help"))
		if strings.HasPrefix(name, "lsdyna_task_") {
			for _, m := range family.GetMetric() {
				for _, label := range m.GetLabel() {
					must.NotEq(t, "", label.GetValue(), must.Sprint(name))
				}
			}
		}
	}
}

func TestInspect_saysHowARunDoes(t *testing.T) {
	t.Setenv("COLUMNS", "200")
	dir := runFolder(t, nodetest.Solving(5, 1e-2)+warned)
	topologytest.WriteFile(t, filepath.Join(dir, "glstat"), nodetest.Statistics(4e-3, 1.25, 5, 1))
	r := call(t, "inspect", dir)
	for _, words := range []string{
		"at t = 0.004: energy ratio 1.25, hourglass energy 5 %, added mass 1 %, time step 1e-06", "out of the ordinary: energy ratio 1.25 at t = 0.004",
		"2 warnings: 21129 (STR) shell element, ID 1 violates heuristic shape criterion",
	} {
		must.StrContains(t, r.out, words)
	}
	var got output.Report
	must.NoError(t, json.Unmarshal([]byte(call(t, "inspect", dir, "-json").out), &got))
	must.NotNil(t, got.Health)
	must.Eq(t, 900, *got.Health.Total-5)
	must.Nil(t, got.Health.Missing)

	must.NoError(t, json.Unmarshal([]byte(call(t, "inspect", filepath.Join(dir, "stdout"), "-running", "-json").out), &got))
	must.NotNil(t, got.Health.Missing)
	must.StrContains(t, *got.Health.Missing, "*DATABASE_GLSTAT")
}
