// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package eta

import (
	"math"
	"testing"

	"github.com/shoenig/test/must"
)

// The estimate of a run that goes on as before is about that of the line before: whoever
// looks twice sees the same end coming.
func TestForecast_ofASmoothRunDoesNotJump(t *testing.T) {
	const (
		end       = 1.0
		perSecond = 50 // cycles
		mostJump  = .12
	)
	for name, fall := range map[string]float64{"a steady step": 0, "a step that falls a little": .1, "by a quarter": .25, "to half": .5, "a step that rises": -.5} {
		for _, every := range []int{50, 170, 500} { // cycles a line
			var e Estimator
			problem, before := 0.0, 0.0
			for cycle := 1; problem < .95*end; cycle++ {
				problem += 1e-4 * (1 - fall*problem/end)
				if cycle%every != 0 {
					continue
				}
				wall := float64(cycle) / perSecond
				e.Add(int64(wall), problem, int64(cycle))
				f, ok := e.Forecast(end)
				if !ok || wall < 40 {
					continue
				}
				total := wall + f.Likely.Seconds()
				if before > 0 && math.Abs(math.Log(total/before)) > mostJump {
					t.Errorf("%s, a line in %d cycles: after %.0f s the run takes %.0f s, and %.0f s a line before", name, every, wall, total, before)
				}
				before = total
			}
			must.Greater(t, 0, before)
		}
	}
}
