// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ended

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

func TestWatchStop_Holds(t *testing.T) {
	same := json.RawMessage(`{"energy_ratio":1.1}`)
	stop := &WatchStop{Reason: "stopped", Bounds: same}
	must.True(t, stop.Holds(same))
	must.False(t, stop.Holds(json.RawMessage(`{"energy_ratio":1.2}`)))
	must.False(t, stop.Holds(nil), must.Sprint("the job has no bounds any more"))
	must.False(t, (*WatchStop)(nil).Holds(same))
	must.False(t, (&WatchStop{}).Holds(nil))
}

// The task's user can write the record.
func TestWatchStop_String(t *testing.T) {
	must.Eq(t, "stopped ?by? watch", (&WatchStop{Reason: "stopped \x1bby\n watch"}).String())
	must.LessEq(t, 200, len((&WatchStop{Reason: strings.Repeat("x", 5000)}).String()))
}
