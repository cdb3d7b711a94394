// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package past

import (
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/history"
)

// Sum is what the runs with one outcome came to.
type Sum struct {
	Outcome   string  `json:"outcome"`
	Runs      int     `json:"runs"` // of a run over several nodes the leading node's entry counts
	CoreHours float64 `json:"core_hours"`
}

const hour = 3600 // seconds

// Add sums up by outcome, those first that are known.
func Add(runs []history.Entry) []Sum {
	order := Outcomes()
	by := map[string]*Sum{}
	for i := range runs {
		e := &runs[i]
		s := by[e.Outcome]
		if s == nil {
			s = &Sum{Outcome: e.Outcome}
			by[e.Outcome] = s
		}
		if e.Leads() {
			s.Runs++
		}
		s.CoreHours += e.CoreSeconds / hour
		if !slices.Contains(order, e.Outcome) { // of a later plugin
			order = append(order, e.Outcome)
		}
	}
	sums := []Sum{}
	for _, outcome := range order {
		if s := by[outcome]; s != nil {
			sums = append(sums, *s)
		}
	}
	return sums
}
