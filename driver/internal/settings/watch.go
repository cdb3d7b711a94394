// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/watchdog"
)

// parseWatch reads a task's watch block.
func parseWatch(c *WatchConfig, p *problems) (b watchdog.Bounds) {
	if c == nil {
		return b
	}
	before := len(*p)
	if c.EnergyRatio != "" {
		v, err := strconv.ParseFloat(c.EnergyRatio, 64)
		if err != nil || !(v > 1) || math.IsInf(v, 0) {
			p.add("watch: energy_ratio = %s must be a number above 1, which the ratio of a run without fault is; 1.1 is usual", c.EnergyRatio)
		}
		b.EnergyRatio = v
	}
	b.AddedMass = parsePercent("added_mass", c.AddedMass, "5%", p)
	b.Hourglass = parsePercent("hourglass", c.Hourglass, "10%", p)
	if c.DtMin != "" {
		v, err := strconv.ParseFloat(c.DtMin, 64)
		if err != nil || !(v > 0) || math.IsInf(v, 0) {
			p.add("watch: dt_min = %s must be a time step above 0, in the deck's unit of time", c.DtMin)
		}
		b.DtMin = v
	}
	if c.Silence != "" {
		d, err := time.ParseDuration(c.Silence)
		if err != nil || d < leastSilence {
			p.add("watch: silence must be a duration such as \"1h\", and %s at least, not %q; leave it out for no bound", leastSilence, c.Silence)
		}
		b.Silence = d
	}
	switch b.Action = watchdog.Action(c.Action); b.Action {
	case watchdog.Event, watchdog.Dump, watchdog.Stop:
	default:
		p.add("watch: action must be %q, %q or %q, not %q", watchdog.Event, watchdog.Dump, watchdog.Stop, c.Action)
	}
	if b.None() && len(*p) == before {
		p.add("watch: name a bound: energy_ratio = 1.1, added_mass = \"5%%\", hourglass = \"10%%\", dt_min or silence = \"1h\"; or remove the block")
	}
	return b
}

// parsePercent reads "5%".
func parsePercent(name, text, example string, p *problems) float64 {
	if text == "" {
		return 0
	}
	digits, isPercent := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if !isPercent || err != nil || !(v > 0) || math.IsInf(v, 0) {
		p.add("watch: %s must be a percentage above 0 such as %q, not %q; leave it out for no bound", name, example, text)
	}
	return v
}

// leastSilence is how often the driver looks at a run that prints. Every run is silent for
// less.
const leastSilence = time.Second
