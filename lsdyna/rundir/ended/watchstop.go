// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ended

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
)

// ByWatch begins the reason of a run that was stopped since it had passed a bound.
const ByWatch = "stopped by watch: "

// WatchStop is why a run was stopped whose energies, mass or time step had passed a bound
// of its job. Who forges it keeps the user's own task from going on.
type WatchStop struct {
	Reason  string          `json:"reason"`
	Bounds  json.RawMessage `json:"bounds"` // that were set then (package driver)
	Stopped time.Time       `json:"stopped"`
}

// String is the reason, in one line.
func (w *WatchStop) String() string { return sanitize.Line([]byte(w.Reason), 200) }

// Holds reports whether the bounds are still the same, so that the run would be stopped
// again.
func (w *WatchStop) Holds(bounds json.RawMessage) bool {
	return w != nil && len(bounds) > 0 && bytes.Equal(w.Bounds, bounds)
}
