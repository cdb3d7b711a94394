// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// again starts a task in the run folder of an earlier one, as the next
// allocation of the job does.
func (r *run) again(j job) *run {
	r.t.Helper()
	j.folder = r.folder
	if j.files == nil {
		j.files = map[string]string{}
	}
	return r.n.start(j)
}

// stopped starts a long run, has it write two dumps, and stops it with the
// second.
func (n *node) stopped() *run {
	n.t.Helper()
	r := n.start(slowJob("ncpu = 1"))
	r.stopWithDumps()
	return r
}

// stopWithDumps has a long run write two dumps, and stops it with the second.
func (r *run) stopWithDumps() {
	r.t.Helper()
	r.computes()
	must.NoError(r.t, r.n.SignalTask(r.id, "SIGUSR1"))
	r.n.hears(r.id, "Switch sw3, dump d3dump01 written")
	must.NoError(r.t, r.n.StopTask(r.id, patience, "SIGTERM"))
	r.n.hears(r.id, "Stopping with sw1, dump d3dump02 written")
	r.wait()
}

// halve cuts a file in the middle.
func (r *run) halve(name string) {
	r.t.Helper()
	path := filepath.Join(r.folder, name)
	info, err := os.Stat(path)
	must.NoError(r.t, err)
	must.NoError(r.t, os.Truncate(path, info.Size()/2))
}

// results is the checksum of the final state.
func (r *run) results() string {
	r.t.Helper()
	text := r.read("standin-results")
	must.NotEq(r.t, "", text)
	return text
}

// A dump that is cut passes every check that can be made without the solver,
// which then refuses it.
func TestRestart_ADumpThatTheSolverRefusesIsNotTriedAgain(t *testing.T) {
	n := newNode(t)
	whole := n.start(job{config: standinJob("ncpu = 1").config, long: true})
	must.True(t, whole.wait().Successful())

	r := n.stopped()
	r.halve("d3dump02")
	j := standinJob("ncpu = 1")
	refused := r.again(j)
	n.hears(refused.id, "Restarting from d3dump02")
	must.ErrorContains(t, refused.wait().Err, "restart file d3dump02: incomplete")
	n.hears(refused.id, "The solver could not go on from d3dump02; the next start takes an older dump, or the deck")

	next := r.again(j)
	n.hears(next.id, "Restarting from d3dump01")
	n.hears(next.id, "d3dump02 was tried and is bad")
	must.True(t, next.wait().Successful())
	must.Eq(t, whole.results(), next.results())
}

func TestRestart_WithoutAGoodDumpBeginsWithTheDeck(t *testing.T) {
	n := newNode(t)
	r := n.stopped()
	for _, name := range []string{"d3dump01", "d3dump02"} {
		r.halve(name)
	}
	j := standinJob("ncpu = 1")
	for _, name := range []string{"d3dump02", "d3dump01"} {
		refused := r.again(j)
		n.hears(refused.id, "Restarting from "+name)
		must.False(t, refused.wait().Successful())
		n.hears(refused.id, "The solver could not go on from "+name)
	}
	deck := r.again(j)
	n.hears(deck.id, "Starting from the deck: d3dump02 was tried and is bad; d3dump01 was tried and is bad")
	must.True(t, deck.wait().Successful())

	t.Run("and the next run takes none of them", func(t *testing.T) {
		after := r.again(j)
		must.True(t, after.wait().Successful())
		must.StrNotContains(t, after.read("stdout"), "r=")
	})
}

// What others do to a run says nothing about its dump.
func TestRestart_ADumpIsNotBlamedForAStopOrAMissingLicence(t *testing.T) {
	n := newNode(t)
	r := n.stopped()
	frozen := standinJob("ncpu = 1", "license_wait=forever")
	for name, end := range map[string]func(*run){
		"killed":  func(r *run) { endProcess(t, r.pid) },
		"stopped": func(r *run) { must.NoError(t, n.StopTask(r.id, patience, "SIGTERM")) },
	} {
		waiting := r.again(frozen)
		n.hears(waiting.id, "Restarting from d3dump02")
		end(waiting)
		must.False(t, waiting.wait().Successful(), must.Sprint(name))
	}
	refused := r.again(standinJob("ncpu = 1", "license_refused"))
	must.False(t, refused.wait().Successful())
	recorded, err := r.recorded()
	must.NoError(t, err)
	must.SliceEmpty(t, recorded.Bad)
	good := r.again(standinJob("ncpu = 1"))
	n.hears(good.id, "Restarting from d3dump02")
	must.True(t, good.wait().Successful())
}

func (r *run) recorded() (rundir.Record, error) {
	r.t.Helper()
	folder, err := rundir.Open(filepath.Dir(r.folder), filepath.Base(r.folder))
	must.NoError(r.t, err)
	recorded, err := folder.ReadRecord()
	return recorded, errors.Join(err, folder.Close())
}

// A solver that is killed while it writes a dump leaves one that it never spoke
// of; the one before it counts.
func TestRestart_ADumpThatWasCutByTheEndOfTheRunIsPassedOver(t *testing.T) {
	n := newNode(t)
	r := n.stopped()
	j := slowJob("ncpu = 1", "truncate_dump")
	j.files = map[string]string{}
	cut := r.again(j)
	n.hears(cut.id, "Restarting from d3dump02")
	cut.isSeenComputing()
	must.NoError(t, n.StopTask(cut.id, patience, "SIGTERM"))
	must.Eq(t, 9, cut.wait().Signal)
	n.hears(cut.id, "Stopping with sw1: ended after ")
	must.FileExists(t, filepath.Join(r.folder, "d3dump03"))

	next := r.again(standinJob("ncpu = 1"))
	n.hears(next.id, "Restarting from d3dump02")
	n.hears(next.id, "d3dump03 is not complete: the solver did not say that it wrote it")
	must.True(t, next.wait().Successful())
}

// A solver may be silent for minutes behind a dump. What ends then ends everything.
func TestRestart_ADumpThatTheDriverSawCompleteIsTaken(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.computes()
	for _, dump := range []string{"d3dump01", "d3dump02"} {
		must.NoError(t, n.SignalTask(r.id, "SIGUSR1"))
		n.hears(r.id, "Switch sw3, dump "+dump+" written")
	}
	endProcess(t, r.pid)
	r.wait()
	for _, name := range []string{"stdout", "messag"} {
		text := r.read(name)
		line := strings.Index(text, "write d3dump02 file")
		must.Positive(t, line)
		end := line + strings.Index(text[line:], "\n") + 1
		must.NoError(t, os.Truncate(filepath.Join(r.folder, name), int64(end)))
	}
	next := r.again(standinJob("ncpu = 1"))
	n.hears(next.id, "Restarting from d3dump02")
	must.True(t, next.wait().Successful())
}

// Nothing is begun anew on a doubt: what cannot be told now, a later start may tell.
func TestRestart_CannotTellIsNeverBeginAnew(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(path string) error
		file  string
		why   string
	}{
		"the deck is away":                {func(p string) error { return os.Rename(p, p+".away") }, "main.k", "main.k is not in the run folder"},
		"an include is away":              {func(p string) error { return os.Rename(p, p+".away") }, "material.k", "material.k, which the deck includes and the run in this folder has read, cannot be opened now"},
		"an include may not be read":      {hide, "material.k", "material.k, which the deck includes"},
		"the record may not be read":      {hide, rundir.RecordFile, "permission denied"},
		"an output may not be read":       {hide, "messag", "permission denied"},
		"the record is missing":           {os.Remove, rundir.RecordFile, "the run's record .lsdyna-run.json is missing, and .lsdyna-history.json tells of runs that had one: nothing tells whether d3dump02"},
		"the record is damaged for a day": {damage, rundir.RecordFile, "nothing tells whether d3dump02 and the other dumps there (2 in all) are of this run"},
	} {
		t.Run(name, func(t *testing.T) {
			needRoot(t)
			n := newNode(t)
			r := n.stopped()
			before := r.contents()
			path := filepath.Join(r.folder, c.file)
			must.NoError(t, os.Rename(path, path+".kept"))
			data, err := os.ReadFile(path + ".kept")
			must.NoError(t, err)
			must.NoError(t, os.WriteFile(path, data, 0o644))
			must.NoError(t, c.spoil(path))
			j := standinJob("ncpu = 1")
			j.folder, j.files = r.folder, map[string]string{}
			_, _, err = n.StartTask(n.task(j))
			must.ErrorContains(t, err, c.why)
			must.True(t, structs.IsRecoverable(err), must.Sprint(err))
			must.Eq(t, n.cores.Managed(), n.free())

			_ = os.Remove(path + ".away")
			must.NoError(t, os.Rename(path+".kept", path))
			must.Eq(t, before, r.contents())
			next := r.again(standinJob("ncpu = 1"))
			n.hears(next.id, "Restarting from d3dump02")
			must.True(t, next.wait().Successful())
		})
	}
}

// hide lets nobody but root read a file.
func hide(path string) error { return os.Chmod(path, 0) }

func damage(path string) error { return os.WriteFile(path, []byte(`{"identity":`), 0o644) }

// A record that is damaged keeps no run from beginning where there is nothing to lose.
func TestRestart_ADamagedRecordWithoutDumpsIsSetAside(t *testing.T) {
	n := newNode(t)
	j := standinJob("ncpu = 1")
	j.folder = n.folder(deckFiles(t, false))
	must.NoError(t, damage(filepath.Join(j.folder, rundir.RecordFile)))
	r := n.start(j)
	n.hears(r.id, "Starting from the deck: the run's record ")
	n.hears(r.id, "it was renamed to "+rundir.BadRecordFile)
	must.True(t, r.wait().Successful())
	must.Eq(t, `{"identity":`, r.read(rundir.BadRecordFile))
}

// Dumps that no run of the driver left are no doubt: the folder was used without it.
func TestRestart_WithoutRecordAndHistoryBeginsWithTheDeck(t *testing.T) {
	n := newNode(t)
	r := n.stopped()
	for _, file := range []string{rundir.RecordFile, rundir.HistoryFile} {
		must.NoError(t, os.Remove(filepath.Join(r.folder, file)))
	}
	next := r.again(standinJob("ncpu = 1"))
	must.True(t, next.wait().Successful())
	must.StrNotContains(t, next.read("stdout"), "r=")
}

func TestRestart_ADumpOfAnotherRunIsNotTaken(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		change func(*run)
		why    string
	}{
		"another deck": {"solver = \"standin\"\nncpu = 1", func(r *run) {
			f, err := os.OpenFile(filepath.Join(r.folder, "material.k"), os.O_APPEND|os.O_WRONLY, 0)
			must.NoError(r.t, err)
			_, err = f.WriteString("$ changed\n")
			must.NoError(r.t, errors.Join(err, f.Close()))
		}, "the deck or a file it includes was changed"},
		"another solver":      {"solver = \"other\"\nncpu = 1", nil, "the solver was standin_smp_d_R14:"},
		"another precision":   {"solver = \"single\"\nncpu = 1", nil, "the solver was smp double precision and is smp single precision"},
		"another core number": {"solver = \"standin\"\nncpu = 2", nil, "the run had 1 processors in 1 ranks and has 2 in 1"},
		"another jobid":       {"solver = \"standin\"\nncpu = 1\njobid = \"x\"", nil, `jobid was "" and is "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, func(c *settings.Config) {
				other := filepath.Join(filepath.Dir(c.StateDir), "standin_smp_d_R15")
				data, err := os.ReadFile(standin)
				must.NoError(t, err)
				must.NoError(t, os.WriteFile(other, data, 0o755))
				c.Solvers["other"] = settings.SolverConfig{Path: other}
				c.Solvers["single"] = settings.SolverConfig{Path: standin, Precision: "single"}
			})
			r := n.stopped()
			if c.change != nil {
				c.change(r)
			}
			j := job{config: c.config, env: map[string]string{"STANDIN_PACE": "200ms"}}
			fresh := r.again(j)
			n.hears(fresh.id, "Starting from the deck: "+c.why)
			endProcess(t, fresh.pid)
			fresh.wait()

			after := r.again(j)
			n.hears(after.id, "Starting from the deck: the run has written no dump yet")
		})
	}
}
