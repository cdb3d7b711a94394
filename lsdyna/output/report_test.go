// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"encoding/json"
	"testing"

	"github.com/shoenig/test/must"
)

func TestReport_jsonHasEveryKeyAndNullsTheUnknown(t *testing.T) {
	data, err := json.Marshal(NewReport(Snapshot{}, Exit{}))
	must.NoError(t, err)
	var got map[string]any
	must.NoError(t, json.Unmarshal(data, &got))
	for _, key := range []string{
		"time", "end_time", "cycle", "version", "parallel", "precision", "processors", "warnings", "errors",
		"first_error", "restart_file", "nodes_text", "nodes_stop", "elapsed_seconds", "eta_seconds", "eta_low_seconds", "eta_high_seconds", "eta_missing",
	} {
		value, there := got[key]
		must.True(t, there, must.Sprint(key))
		must.Nil(t, value, must.Sprint(key))
	}
	must.Eq(t, "unknown", got["outcome"])
}
