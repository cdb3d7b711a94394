// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// playsFolder has a folder for each kind of end that people have reported, for the
// stand-in solver to act, and a table of what is to be told of them.
const playsFolder = "../example/solver/testdata/plays"

// plays is the table: a play, its outcome, words of the event, what the next start in the
// folder says ("" where that ends at once, as completed), and the outcome by the outputs
// alone.
func plays(t *testing.T) (rows []struct{ play, outcome, words, next, inspected string }) {
	t.Helper()
	file, err := os.Open(filepath.Join(playsFolder, "want.tsv"))
	must.NoError(t, err)
	defer file.Close()
	table := csv.NewReader(file)
	table.Comma, table.LazyQuotes = '\t', true
	all, err := table.ReadAll()
	must.NoError(t, err)
	for _, row := range all[1:] {
		rows = append(rows, struct{ play, outcome, words, next, inspected string }{row[0], row[1], row[2], row[3], row[4]})
	}
	return rows
}

// A task fails or completes as its solver's run did, whoever said how it ended, and the
// next start goes on from the dump that is there.
func TestOutcome_OfEveryKindOfEnd(t *testing.T) {
	n := newNode(t)
	copied := filepath.Join(n.work, "plays")
	must.NoError(t, os.CopyFS(copied, os.DirFS(playsFolder)))
	for _, c := range plays(t) {
		t.Run(c.play, func(t *testing.T) {
			j := standinJob("ncpu = 1")
			j.files = map[string]string{"main.k": "*KEYWORD\n*NODE\n*END\n"}
			j.env = map[string]string{"STANDIN_PLAY": filepath.Join(copied, c.play, "play")}
			r := n.start(j)
			result := r.wait()
			past := r.history()
			must.Len(t, 1, past)
			must.Eq(t, output.Kind(c.outcome), past[0].Outcome, must.Sprint(past[0].Reason))
			must.StrContains(t, past[0].Reason, c.words)
			n.hears(r.id, past[0].Reason[1:]) // an event begins with a capital
			must.Eq(t, c.outcome == "completed" && result.ExitCode == 0, result.Successful())
			if !result.Successful() {
				must.ErrorContains(t, result.Err, c.words)
				must.NotEq(t, 0, result.ExitCode)
			}
			inspected := c.inspected
			if inspected == "unknown" && c.outcome != "completed" {
				inspected = c.outcome // the driver noted it in the folder
			}
			must.Eq(t, output.Kind(inspected), r.inspect().Outcome)

			j.env = map[string]string{"STANDIN_PLAY": filepath.Join(copied, "pieces", "nothing", "play")}
			next := r.again(j)
			if c.next == "" {
				next.stop()
				must.StrNotContains(t, strings.Join(n.said(next.id), "\n"), "from")
				return
			}
			n.hears(next.id, c.next)
			next.wait()
		})
	}
}

// Every folder of plays is in the table.
func TestOutcome_EveryPlayIsTried(t *testing.T) {
	entries, err := os.ReadDir(playsFolder)
	must.NoError(t, err)
	known := map[string]bool{"pieces": true, "want.tsv": true}
	for _, c := range plays(t) {
		known[c.play] = true
	}
	for _, e := range entries {
		must.True(t, known[e.Name()], must.Sprint(e.Name()))
	}
}

// inspect is what the run's folder tells.
func (r *run) inspect() output.Report {
	r.t.Helper()
	folder, err := rundir.Open(r.folder, ".")
	must.NoError(r.t, err)
	defer folder.Close()
	report, err := folder.Report(r.t.Context(), "", false)
	must.NoError(r.t, err)
	return report
}
