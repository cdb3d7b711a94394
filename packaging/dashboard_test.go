// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// checkDashboard compares a dashboard with Grafana's own schema: no field that it does not
// know, none missing, each with a value that it takes, in panels and queries, too.
func checkDashboard(data []byte) error {
	runtime := cog.NewRuntime()
	runtime.RegisterPanelcfgVariant(stat.VariantConfig())
	runtime.RegisterPanelcfgVariant(table.VariantConfig())
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
	var d dashboard.Dashboard //nolint:staticcheck // our file is of this schema
	// It returns an empty list of errors where there are none, which is not nil.
	if err := d.UnmarshalJSONStrict(data); err != nil && err.Error() != "" {
		return err
	}
	return d.Validate()
}

func TestDashboard_isWhatGrafanasSchemaSays(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("grafana", "lsdyna.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := checkDashboard(data); err != nil {
		t.Error(err)
	}
	// What would pass this test if it looked at less.
	for right, wrong := range map[string]string{
		`"schemaVersion"`:      `"schemaVersoin"`,
		`"graphMode": "none"`:  `"graphMode": 1`,
		`"displayMode"`:        `"displayMod"`,
		`"legendFormat"`:       `"legendFromat"`,
		`"refId": "A"`:         `"refID": "A"`,
		`"drawStyle"`:          `"drawStile"`,
		`"calcs": [`:           `"calc": [`,
		`"gridPos"`:            `"gridpos"`,
		`"type": "timeseries"`: `"type": ["timeseries"]`,
	} {
		spoilt := bytes.Replace(data, []byte(right), []byte(wrong), 1)
		if bytes.Equal(spoilt, data) {
			t.Errorf("the dashboard has no %s", right)
		} else if checkDashboard(spoilt) == nil {
			t.Errorf("%s passes", wrong)
		}
	}
}
