// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package check

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

func TestGoesOn(t *testing.T) {
	world := func(from string, told int) *World {
		w := goodWorld()
		w.Dumps = []Dump{{Alloc: "c", Name: "d3dump01", Told: at(0)}, {Alloc: "c", Name: "d3dump02", Told: at(told)}}
		w.Runs[0].From = from
		return w
	}
	for _, c := range []struct {
		name  string
		w     *World
		wrong bool
	}{
		{"the newest dump", world("d3dump02", 0), false},
		{"a later one", world("d3dump03", 0), false},
		{"an older one", world("d3dump01", 0), true},
		{"the deck", world("", 0), true},
		{"it was told of only later", world("d3dump01", 2), false},
		{"another allocation's", func() *World {
			w := world("", 0)
			w.Dumps[0].Alloc, w.Dumps[1].Alloc = "z", "z"
			return w
		}(), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := Always(c.w)
			must.Eq(t, c.wrong, len(found) > 0, must.Sprint(found))
			for _, v := range found {
				must.Eq(t, GoesOn, v.Rule)
			}
		})
	}
}

func TestDumpOf(t *testing.T) {
	must.Eq(t, "d3dump02", dumpOf([]string{"/opt/lsdyna", "i=main.k", "r=d3dump02", "ncpu=1"}))
	must.Eq(t, "", dumpOf([]string{"/opt/lsdyna", "i=r=k"}))
}

// A stop by sense switch that nobody asked for is a run lost, though the solver exits
// with 0.
func TestRules_FindAStopThatNobodyAskedFor(t *testing.T) {
	w := goodWorld()
	w.Calm, w.Runs[1].Ended, w.Runs[1].Exit, w.Runs[1].Known, w.Runs[1].Status = at(4), true, at(5), true, exited(0)
	must.SliceEmpty(t, Always(w))
	w.Runs[1].Switched = true
	must.SliceContainsFunc(t, Always(w), NoRunLost, func(v Violation, rule string) bool { return v.Rule == rule })
	w.Allocs[0].Desired = "stop"
	must.SliceEmpty(t, Always(w))
}

func TestResultsStay(t *testing.T) {
	left := func(now ...string) Results {
		return Results{Alloc: "c", Job: "past", Before: []string{"stdout 1", "d3plot 1"}, Now: now}
	}
	for _, c := range []struct {
		name    string
		results Results
		again   bool
		wrong   bool
	}{
		{name: "as they were", results: left("d3plot 1", "stdout 1")},
		{name: "and another file", results: left("d3plot 1", "stdout 1", "notes")},
		{name: "one is written to", results: left("d3plot 1", "stdout 2"), wrong: true},
		{name: "one is gone", results: left("d3plot 1"), wrong: true},
		{name: "computed again", results: left("d3plot 1", "stdout 1"), again: true, wrong: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := goodWorld()
			w.Results = []Results{c.results}
			if c.again {
				w.Runs = append(w.Runs, Run{Alloc: "c", PID: 31, Start: 31, Exec: at(12)})
			}
			found := Always(w)
			must.Eq(t, c.wrong, len(found) > 0, must.Sprint(found))
			for _, v := range found {
				must.Eq(t, ResultsStay, v.Rule)
			}
		})
	}
}

func TestObserver_RemembersResultsOnceTheyAreTold(t *testing.T) {
	folder := t.TempDir()
	stdout := filepath.Join(folder, "stdout")
	must.NoError(t, os.WriteFile(stdout, []byte("results"), 0o644))
	o := &Observer{Site: Site{Folder: func(string) string { return folder }}}
	look := func(w *World) []Results {
		w.Results = nil
		must.NoError(t, o.lookAtResults(w, true))
		return w.Results
	}
	w := goodWorld()
	w.Allocs[2].Ends = nil
	must.SliceEmpty(t, look(w), must.Sprint("nobody was told"))
	w = goodWorld()
	must.Len(t, 1, look(w))
	must.NoError(t, os.WriteFile(filepath.Join(folder, ".lsdyna-history.json"), nil, 0o644))
	look(w)
	must.SliceEmpty(t, Always(w))
	must.NoError(t, os.Chtimes(stdout, time.Time{}, at(1)))
	look(w)
	must.Len(t, 1, Always(w))
	must.NoError(t, os.RemoveAll(folder))
	must.SliceEmpty(t, look(w), must.Sprint("the campaign has removed the folder"))

	o.Shares("past")
	must.NoError(t, os.Mkdir(folder, 0o755))
	must.SliceEmpty(t, look(w), must.Sprint("another job runs there, too"))
}

func TestLastWords(t *testing.T) {
	const normal = " N o r m a l    t e r m i n a t i o n   11/29/26 00:03:14\n"
	for text, want := range map[string]lastWords{
		" *** termination time reached ***\n" + normal:            {completed: true},
		" *** kill file detected - terminating ****\n" + normal:   {switched: true},
		" *** termination due to sense switch: sw1 ***\n":         {switched: true},
		" *** termination time reached ***\n":                     {},
		" E r r o r   t e r m i n a t i o n  11/29/26 00:03:14\n": {},
	} {
		folder := t.TempDir()
		must.NoError(t, os.WriteFile(filepath.Join(folder, "stdout"), []byte(text), 0o644))
		o := &Observer{Site: Site{Folder: func(string) string { return folder }}}
		w := goodWorld()
		must.Eq(t, want, o.lastWords(w, &w.Runs[0]), must.Sprint(text))
		must.NoError(t, os.Remove(filepath.Join(folder, "stdout")))
		must.Eq(t, want, o.lastWords(w, &w.Runs[0]), must.Sprint("read once"))
	}
}

func TestUnpinned(t *testing.T) {
	for _, c := range []struct {
		name  string
		asked int
		spoil func(*World)
		wrong bool
	}{
		{name: "as many cores are free as it asks for", asked: 1, wrong: true},
		{name: "it asks for more", asked: 2},
		{name: "it asks for none", asked: 0},
		{name: "it has some", asked: 1, spoil: func(w *World) { w.Records[1].Cores = []int{1} }},
		{name: "another one has got them", asked: 1, spoil: func(w *World) { w.Records[0].Cores = []int{0, 1} }},
		{name: "Nomad withholds them", asked: 1, spoil: func(w *World) { w.Withheld = []int{1} }},
		{name: "Nomad reserved some for it", asked: 1, spoil: func(w *World) { w.Allocs[1].Reserved = []int{1} }},
		{name: "it has ended", asked: 1, spoil: func(w *World) { w.Processes = w.Processes[:2] }},
		{name: "a pinned one has ended", asked: 2, wrong: true, spoil: func(w *World) { w.Processes = w.Processes[2:] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := goodWorld()
			if c.spoil != nil {
				c.spoil(w)
			}
			found := Unpinned(w, map[string]int{"free": c.asked})
			must.Eq(t, c.wrong, len(found) > 0, must.Sprint(found))
		})
	}
}
