// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// casesJob is a process that makes two runs, CRUSH and PUSH.
func casesJob(t *testing.T, faults ...string) job {
	t.Helper()
	j := standinJob("ncpu = 1\nargs = [\"case\"]", faults...)
	j.files = deckFiles(t, false)
	j.files["main.k"] = strings.Replace(j.files["main.k"], "*END", "*CASE\n         1     CRUSH\n*CASE\n         2      PUSH\n*END", 1)
	return j
}

func TestCases_TheTaskIsCompletedOnlyIfEachRunWas(t *testing.T) {
	n := newNode(t)
	for name, c := range map[string]struct {
		faults []string
		want   output.Kind
		words  string
	}{
		"both complete":     {nil, output.Completed, "normal termination at the end time"},
		"the first failed":  {[]string{"error=20,case=1"}, output.Failed, "run 1 of the process (CRUSH): error termination: *** Error 40500"},
		"the second failed": {[]string{"error=20,case=2"}, output.Failed, "error termination: *** Error 40500"},
		"the first is short": {
			[]string{"short=0.3,case=1"},
			output.Stopped,
			"run 1 of the process (CRUSH): normal termination before the end time",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := n.start(casesJob(t, c.faults...))
			result := r.wait()
			past := r.history()
			must.Eq(t, c.want, past[0].Outcome, must.Sprint(past[0].Reason))
			must.StrContains(t, past[0].Reason, c.words)
			must.Eq(t, c.want == output.Completed, result.Successful())
			must.NotEq(t, "", r.read("CRUSH.messag"))
			must.NotEq(t, "", r.read("PUSH.messag"))
		})
	}
}

// A sense switch ends one run, and the process goes on with the next. A stop ends the
// process, without waiting out its time.
func TestCases_AStopEndsTheProcess(t *testing.T) {
	n := newNode(t)
	j := casesJob(t)
	j.env = map[string]string{"STANDIN_PACE": "200ms"}
	r := n.start(j)
	r.computes()
	must.Eq(t, "case 1 (CRUSH)", r.task().View().Snapshot.Case())
	must.NoError(t, n.StopTask(r.id, 100*patience, "SIGTERM"))
	n.hears(r.id, "Stopping with sw1, dump d3dump01 written")
	n.hears(r.id, "The switch has ended case 1 (CRUSH), and the process goes on with case 2 (PUSH): ending it")
	n.hears(r.id, "Sent SIGTERM to the solver")
	must.False(t, r.wait().Successful())
	past := r.history()
	must.Eq(t, output.Killed, past[0].Outcome)
	must.StrContains(t, past[0].Reason, "before it, run 1 of the process (CRUSH): stopped by a sense switch")

	t.Run("and no later start takes the one dump for the whole", func(t *testing.T) {
		j.env = nil
		next := r.again(j)
		n.hears(next.id, "Starting from the deck: with \"case\" the process makes several runs")
		must.True(t, next.wait().Successful())
	})
}
