// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"testing"
	"time"

	"github.com/hashicorp/nomad/helper/pluginutils/hclutils"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/watchdog"
)

func TestTaskConfig_Watch(t *testing.T) {
	const all = "energy_ratio = 1.1\n added_mass = \"5%\"\n hourglass = \"7.5 %\"\n dt_min = 1e-9\n silence = \"30m\"\n"
	for name, c := range map[string]struct {
		block string
		want  watchdog.Bounds
	}{
		"none":              {"", watchdog.Bounds{}},
		"everything":        {"watch {\n" + all + "action = \"stop\"\n}", watchdog.Bounds{EnergyRatio: 1.1, AddedMass: 5, Hourglass: 7.5, DtMin: 1e-9, Silence: 30 * time.Minute, Action: watchdog.Stop}},
		"numbers in quotes": {"watch {\n energy_ratio = \"1.25\"\n dt_min = \"1e-9\"\n}", watchdog.Bounds{EnergyRatio: 1.25, DtMin: 1e-9, Action: watchdog.Event}},
		"one bound":         {"watch { energy_ratio = 2 }", watchdog.Bounds{EnergyRatio: 2, Action: watchdog.Event}},
		"silence and dump":  {"watch {\n silence = \"1h\"\n action = \"dump\"\n}", watchdog.Bounds{Silence: time.Hour, Action: watchdog.Dump}},
	} {
		t.Run(name, func(t *testing.T) {
			var got TaskConfig
			hclutils.NewConfigParser(TaskSpec).ParseHCL(t, "config {\n solver = \"r14\"\n input = \"main.k\"\n"+c.block+"\n}", &got)
			task, err := soundSettings(t).ParseTask(got)
			must.NoError(t, err)
			must.Eq(t, c.want, task.Watch)
		})
	}
}

func TestParseTask_SaysWhatToWriteInWatch(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*WatchConfig)
		want   string
	}{
		"no bound":                   {func(c *WatchConfig) { *c = WatchConfig{Action: "stop"} }, "watch: name a bound: energy_ratio = 1.1"},
		"ratio that all runs have":   {func(c *WatchConfig) { c.EnergyRatio = "1" }, "energy_ratio = 1 must be a number above 1"},
		"ratio below zero":           {func(c *WatchConfig) { c.EnergyRatio = "-1" }, "energy_ratio = -1 must be a number above 1"},
		"mass that is no percentage": {func(c *WatchConfig) { c.AddedMass = "5" }, `added_mass must be a percentage above 0 such as "5%", not "5"`},
		"mass of nothing":            {func(c *WatchConfig) { c.AddedMass = "0%" }, "added_mass must be a percentage above 0"},
		"mass without end":           {func(c *WatchConfig) { c.AddedMass = "inf%" }, "added_mass must be a percentage above 0"},
		"hourglass in words":         {func(c *WatchConfig) { c.Hourglass = "ten%" }, `hourglass must be a percentage above 0 such as "10%", not "ten%"`},
		"step of nothing":            {func(c *WatchConfig) { c.DtMin = "0" }, "dt_min = 0 must be a time step above 0"},
		"silence that is no time":    {func(c *WatchConfig) { c.Silence = "30" }, `silence must be a duration such as "1h", and 1s at least, not "30"`},
		"silence of a nanosecond":    {func(c *WatchConfig) { c.Silence = "1ns" }, "and 1s at least"},
		"silence of no length":       {func(c *WatchConfig) { c.Silence = "0s" }, "silence must be a duration"},
		"ratio in words":             {func(c *WatchConfig) { c.EnergyRatio = "much" }, "energy_ratio = much must be a number above 1"},
		"another action":             {func(c *WatchConfig) { c.Action = "kill" }, `action must be "event", "dump" or "stop", not "kill"`},
	} {
		t.Run(name, func(t *testing.T) {
			task := soundTask()
			task.Watch = &WatchConfig{EnergyRatio: "1.1", Action: "event"}
			c.change(task.Watch)
			_, err := soundSettings(t).ParseTask(task)
			must.ErrorContains(t, err, c.want)
		})
	}
}
