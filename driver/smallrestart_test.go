// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// smallDeck is the deck of a small restart that moves the termination time.
const smallDeck = "*KEYWORD\n*CONTROL_TERMINATION\n     0.012\n*END\n"

// extended is the checksum of an uninterrupted run to the time of smallDeck.
func (n *node) extended() string {
	n.t.Helper()
	j := standinJob("ncpu = 1")
	j.files = deckFiles(n.t, false)
	main := strings.Replace(j.files["main.k"], "tend     0.006", "tend     0.012", 1)
	must.NotEq(n.t, main, j.files["main.k"])
	j.files["main.k"] = main
	r := n.start(j)
	must.True(n.t, r.wait().Successful())
	return r.results()
}

// completedWithDump is a run to 0.006 with the dump of its end.
func (n *node) completedWithDump(config string) *run {
	n.t.Helper()
	r := n.start(standinJob("ncpu = 1\n" + config))
	must.True(n.t, r.wait().Successful())
	return r
}

// write puts a file into the run folder.
func (r *run) write(name, text string) {
	r.t.Helper()
	must.NoError(r.t, os.WriteFile(filepath.Join(r.folder, name), []byte(text), 0o644))
}

const smallRestart = "ncpu = 1\ninput = \"small.k\"\nrestart = \"d3dump01\""

func TestSmallRestart_MovesTheEndTime(t *testing.T) {
	n := newNode(t)
	want := n.extended()
	for name, c := range map[string]struct{ before, config, arguments, says string }{
		"plain": {"", smallRestart, "> i=small.k r=d3dump01 ncpu=1", "Small restart from d3dump01 with small.k, as the job says"},
		"with a jobid": {
			"jobid = \"crash7\"", "jobid = \"crash7\"\n" + strings.Replace(smallRestart, "d3dump", "crash7.d3dump", 1),
			"> i=small.k r=crash7.d3dump01 ncpu=1", "Small restart from crash7.d3dump01 with small.k",
		},
	} {
		t.Run(name, func(t *testing.T) {
			first := n.completedWithDump(c.before)
			first.write("small.k", smallDeck)
			next := first.again(standinJob(c.config))
			must.True(t, next.wait().Successful())
			n.hears(next.id, c.says)
			n.hears(next.id, "of 0.012, ")
			must.StrContains(t, next.read("stdout"), c.arguments)
			must.StrNotContains(t, strings.Join(n.said(next.id), "\n"), "Beginning anew")
			file := "standin-results"
			if c.before != "" {
				file = "crash7." + file
			}
			must.Eq(t, want, next.read(file))
		})
	}
}

// A run that began with a small restart goes on from its own dumps, which hold the new
// end time; where it has none yet it begins as the job says, once more.
func TestSmallRestart_GoesOnFromItsOwnDumps(t *testing.T) {
	n := newNode(t)
	want := n.extended()
	first := n.completedWithDump("")
	first.write("small.k", smallDeck)
	j := standinJob(smallRestart)
	paced := j
	paced.env = map[string]string{"STANDIN_PACE": "200ms"}

	killed := first.again(paced)
	killed.isSeenComputing()
	endProcess(t, killed.pid)
	killed.wait()

	stopped := first.again(paced)
	n.hears(stopped.id, "Small restart from d3dump01 with small.k, with which this run began")
	stopped.isSeenComputing()
	must.NoError(t, n.StopTask(stopped.id, patience, "SIGTERM"))
	n.hears(stopped.id, "Stopping with sw1, dump d3dump02 written")
	stopped.wait()
	must.NoError(t, os.Remove(filepath.Join(first.folder, "d3dump01"))) // it is not needed any more

	next := first.again(j)
	n.hears(next.id, "Restarting from d3dump02")
	n.hears(next.id, "; this run began with d3dump01")
	must.True(t, next.wait().Successful())
	must.StrContains(t, next.read("stdout"), "> r=d3dump02 ncpu=1")
	must.Eq(t, want, next.results())
}

// The deck with which the dump's run began holds the model: a solver would refuse it
// beside a dump, and what was done with it is said.
func TestSmallRestart_AWholeDeckIsNotGivenToTheSolver(t *testing.T) {
	n := newNode(t)
	first := n.completedWithDump("")
	next := first.again(standinJob("ncpu = 1\nrestart = \"d3dump01\"\nargs = [\"endtime=0.012\"]"))
	n.hears(next.id, "Restarting from d3dump01, as the job says; main.k is not given to the solver, since the dump holds the model: it defines a model, with *")
	must.True(t, next.wait().Successful())
	must.StrContains(t, next.read("stdout"), "> r=d3dump01 ncpu=1")
}

// stopsASmallRestart goes on from the run's first dump with small.k, up to a second dump.
func (r *run) stopsASmallRestart() {
	r.t.Helper()
	r.write("small.k", smallDeck)
	paced := standinJob(smallRestart)
	paced.env = map[string]string{"STANDIN_PACE": "200ms"}
	stopped := r.again(paced)
	stopped.isSeenComputing()
	must.NoError(r.t, r.n.StopTask(stopped.id, patience, "SIGTERM"))
	r.n.hears(stopped.id, "Stopping with sw1, dump d3dump02 written")
	stopped.wait()
}

// Whoever goes back to the first deck after a small restart was interrupted keeps what
// that one has computed.
func TestSmallRestart_TheFirstDeckGoesOnToo(t *testing.T) {
	n := newNode(t)
	want := n.extended()
	first := n.completedWithDump("")
	first.stopsASmallRestart()

	next := first.again(standinJob("ncpu = 1"))
	n.hears(next.id, "Restarting from d3dump02")
	must.True(t, next.wait().Successful())
	must.Eq(t, want, next.results())
}

// Another deck or another dump is another run: it begins as the job says.
func TestSmallRestart_AChangedDeckBeginsAtTheNamedDump(t *testing.T) {
	n := newNode(t)
	first := n.completedWithDump("")
	first.stopsASmallRestart()
	first.write("small.k", strings.Replace(smallDeck, "0.012", "0.007", 1))
	next := first.again(standinJob(smallRestart))
	n.hears(next.id, "Small restart from d3dump01 with small.k, as the job says")
	must.True(t, next.wait().Successful())
	n.hears(next.id, "of 0.007, ")
}

func TestSmallRestart_ADumpThatIsNotWholeIsRefused(t *testing.T) {
	n := newNode(t)
	j := standinJob(smallRestart)
	j.folder = n.folder(map[string]string{"small.k": smallDeck, "d3dump01.0000": "x", "d3dump01.0002": "x"})
	_, _, err := n.StartTask(n.task(j))
	must.ErrorContains(t, err, "restart: d3dump01 in the run folder "+j.folder+" is not whole")
}

// Nomad may repeat a small restart by itself, after the solver completed and then exited
// with an error. Its results stay.
func TestSmallRestart_IsNotRepeatedByNomad(t *testing.T) {
	n := newNode(t)
	first := n.completedWithDump("")
	first.write("small.k", smallDeck)
	j := standinJob(smallRestart, "exit_code=3")
	next := first.again(j)
	must.Eq(t, 3, next.wait().ExitCode)
	before := first.contents()
	again := first.again(j)
	must.Zero(t, again.pid)
	n.hears(again.id, "This job has completed its run already, and Nomad may start it again by itself")
	again.wait()
	must.Eq(t, before, first.contents())

	other := first.again(standinJob(strings.Replace(smallRestart, "d3dump01", "d3dump02", 1)))
	n.hears(other.id, "Small restart from d3dump02")
	other.wait()
}
