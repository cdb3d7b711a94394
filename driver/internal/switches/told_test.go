// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package switches

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
)

func TestEffect(t *testing.T) {
	long := time.Now().Add(-time.Hour)
	view := func(sw string, change func(*watch.SwitchView)) *watch.SwitchView {
		parsed, err := lsdyna.ParseSwitch(sw)
		must.NoError(t, err)
		v := &watch.SwitchView{Switch: parsed, Asked: long, Taken: long}
		change(v)
		return v
	}
	dump := func(exists, complete, followed bool) func(v *watch.SwitchView) {
		return func(v *watch.SwitchView) {
			v.Dump = rundir.DumpState{Dump: output.Dump{Name: "d3dump01", Time: .5, Followed: followed}, Said: true, Exists: exists, Complete: complete}
			v.Dump.Files.Bytes = 2e6
		}
	}
	both := func(a, b func(*watch.SwitchView)) func(*watch.SwitchView) {
		return func(v *watch.SwitchView) { a(v); b(v) }
	}
	ended := func(v *watch.SwitchView) { v.Ended = true }
	untaken := func(v *watch.SwitchView) { v.Taken = time.Time{} }
	for name, c := range map[string]struct {
		view *watch.SwitchView
		end  Ending
		want string
	}{
		"nothing yet":                    {view("sw3", func(*watch.SwitchView) {}), Ending{}, ""},
		"a dump that grows":              {view("sw3", dump(true, false, false)), Ending{}, ""},
		"a dump":                         {view("sw3", dump(true, true, false)), Ending{}, "Switch sw3, dump d3dump01 written at t = 5.0000E-01, 2.0 MB, in 1h0m0s"},
		"a dump, and d3kil was left":     {view("sw3", both(dump(true, true, false), func(v *watch.SwitchView) { v.Kept = true })), Ending{}, "Switch sw3, dump d3dump01 written at t = 5.0000E-01, 2.0 MB, in 1h0m0s; the solver left d3kil, which was removed"},
		"the dump of a stop":             {view("sw1", both(dump(true, false, false), ended)), Ending{Clean: true}, "Stopping with sw1, dump d3dump01 written at t = 5.0000E-01, 2.0 MB, in 1h0m0s"},
		"a dump that was cut":            {view("sw1", both(dump(true, false, false), ended)), Ending{}, "Stopping with sw1: the run ended while d3dump01 was being written; the next start takes the dump before it"},
		"a dump without a file":          {view("sw3", both(dump(false, false, false), ended)), Ending{}, "Switch sw3: the solver says that it wrote d3dump01, but the file is not there"},
		"no dump at the end":             {view("sw3", ended), Ending{Succeeded: true}, "Switch sw3: ended after 1h0m0s without a dump"},
		"a stop of a run that completed": {view("sw1", ended), Ending{Succeeded: true}, ""},
		"not taken at the end":           {view("sw4", both(untaken, ended)), Ending{}, "Switch sw4: the run ended before the solver took it"},
		"a stop took its place":          {view("sw3", both(untaken, func(v *watch.SwitchView) { v.Replaced = true })), Ending{}, "Switch sw3: the run was stopped before the solver took it"},
		"a plot state":                   {view("sw4", func(v *watch.SwitchView) { v.Plot, v.PlotTime = true, .75 }), Ending{}, "Switch sw4: plot state written at t = 7.5000E-01, in 1h0m0s"},
		"words":                          {view("sw2", func(v *watch.SwitchView) { v.Seen, v.Said = true, "sense switch 2: time" }), Ending{}, "Switch sw2: the solver says: sense switch 2: time"},
		"a flush":                        {view("swa", func(v *watch.SwitchView) { v.Seen = true }), Ending{}, "Switch swa: output buffers flushed"},
		"what nobody can see":            {view("swn", func(v *watch.SwitchView) { v.Seen = true }), Ending{}, "Switch swn: the solver took it; what it did is in its outputs"},
		"what nobody knows":              {view("swz", func(v *watch.SwitchView) { v.Seen = true }), Ending{}, "Switch swz: the solver took it; whether it knows it is in its outputs"},
		"no dump, and no hope":           {view("sw3", func(v *watch.SwitchView) { v.GivenUp = true }), Ending{}, "Switch sw3: the solver took it 1h0m0s ago, and nothing of it is to be seen in its outputs"},
		"a solver that does not obey":    {view("sw3", func(v *watch.SwitchView) { v.GivenUp, v.Kept = true, true }), Ending{}, "Switch sw3: the solver has not obeyed it, and d3kil was removed"},
		"a solver that does not know it": {view("sw4", func(v *watch.SwitchView) { v.GivenUp, v.Said = true, "sense switch not recognized" }), Ending{}, "Switch sw4: the solver says: sense switch not recognized"},
		"a dump without its files":       {view("sw3", both(dump(false, false, false), func(v *watch.SwitchView) { v.GivenUp = true })), Ending{}, "Switch sw3: the solver says that it wrote d3dump01, but the file is not there, or not with those of all ranks"},
	} {
		t.Run(name, func(t *testing.T) {
			must.Eq(t, c.want, Effect(c.view, c.end))
		})
	}
}

// A stop's switch is told of beside the one whose place it took.
func TestTold_EachOnce(t *testing.T) {
	var told Told
	now := time.Now()
	sw1, err := lsdyna.ParseSwitch("sw1")
	must.NoError(t, err)
	sw4, err := lsdyna.ParseSwitch("sw4")
	must.NoError(t, err)
	former := &watch.SwitchView{Switch: sw4, Asked: now.Add(-time.Minute), Replaced: true}
	stop := &watch.SwitchView{Switch: sw1, Asked: now, Taken: now.Add(time.Second), Ended: true}
	var texts []string
	for range 3 {
		for _, v := range []*watch.SwitchView{former, stop} {
			for _, text := range []string{told.Taken(v), told.Effect(v, Ending{})} {
				if text != "" {
					texts = append(texts, text)
				}
			}
		}
	}
	must.Len(t, 3, texts)
	must.Eq(t, "Switch sw4: the run was stopped before the solver took it", texts[0])
	must.Eq(t, "Solver took sw1 after 1s", texts[1])
	must.StrHasPrefix(t, "Stopping with sw1: ended after ", texts[2])
}
