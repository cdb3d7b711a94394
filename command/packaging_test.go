// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

const packaging = "../packaging"

// TestPackaging_namesMetricsThatThereAre compares with the help of metrics, which names
// those of the program's own output and no others
// (TestMetrics_arePrometheusText, TestMetrics_helpNamesNoOthers).
func TestPackaging_namesMetricsThatThereAre(t *testing.T) {
	name := regexp.MustCompile(`\blsdyna_[a-z_]+`)
	there := map[string]bool{}
	for _, found := range name.FindAllString(helpOf("metrics"), -1) {
		there[found] = true
	}
	for _, file := range []string{"prometheus/lsdyna.rules.yml", "prometheus/lsdyna.rules.test.yml", "grafana/lsdyna.json", "README.md"} {
		data, err := os.ReadFile(filepath.Join(packaging, file))
		must.NoError(t, err)
		found := name.FindAllString(string(data), -1)
		must.SliceNotEmpty(t, found)
		for _, metric := range found {
			must.True(t, there[metric], must.Sprintf("%s: %s", file, metric))
		}
	}
}

// man finds a page by the section that it names itself.
func TestPackaging_putsTheManPageIntoItsSection(t *testing.T) {
	section := regexp.MustCompile(`(?m)^\.TH \S+ (\d) `).FindStringSubmatch(call(t, "man").out)
	must.Len(t, 2, section)
	layout, err := os.ReadFile(filepath.Join(packaging, "layout.go"))
	must.NoError(t, err)
	for _, path := range []string{"man/nomad-driver-lsdyna.N", "/usr/share/man/manN/nomad-driver-lsdyna.N.gz"} {
		must.StrContains(t, string(layout), `"`+strings.ReplaceAll(path, "N", section[1])+`"`)
	}
}

func TestPackaging_alertsAreFineByPromtool(t *testing.T) {
	rules := filepath.Join(packaging, "prometheus")
	for _, args := range [][]string{{"check", "rules", "lsdyna.rules.yml"}, {"test", "rules", "lsdyna.rules.test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool(t), args...)
		cmd.Dir = rules
		out, err := cmd.CombinedOutput()
		must.NoError(t, err, must.Sprint(string(out)))
	}
}

// dashboard is what of Grafana's JSON is looked at.
type dashboard struct {
	Panels []struct {
		ID      int
		Title   string
		Targets []struct{ Expr, LegendFormat string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(packaging, "grafana", "lsdyna.json"))
	must.NoError(t, err)
	must.NoError(t, json.Unmarshal(data, &d))
	must.SliceNotEmpty(t, d.Panels)
	return d
}

// TestPackaging_dashboardAsksWhatPrometheusUnderstands has promtool check each query, as
// the expression of a rule.
func TestPackaging_dashboardAsksWhatPrometheusUnderstands(t *testing.T) {
	d := readDashboard(t)
	rules := strings.Builder{}
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	ids := map[int]bool{}
	for _, panel := range d.Panels {
		must.False(t, ids[panel.ID], must.Sprint(panel.Title))
		ids[panel.ID] = true
		must.SliceNotEmpty(t, panel.Targets, must.Sprint(panel.Title))
		for _, target := range panel.Targets {
			expr, err := json.Marshal(strings.ReplaceAll(target.Expr, "$__rate_interval", "5m"))
			must.NoError(t, err)
			rules.WriteString("      - {record: \"x:y\", expr: " + string(expr) + "}\n")
		}
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	must.NoError(t, os.WriteFile(file, []byte(rules.String()), 0o600))
	out, err := exec.CommandContext(t.Context(), promtool(t), "check", "rules", "--lint=none", file).CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
}
