// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ended"
)

// contents is what lies in the run folder, beside the driver's own files.
func (r *run) contents() map[string]string {
	r.t.Helper()
	entries, err := os.ReadDir(r.folder)
	must.NoError(r.t, err)
	all := map[string]string{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".lsdyna-") {
			continue
		}
		info, err := e.Info()
		must.NoError(r.t, err)
		data, err := os.ReadFile(filepath.Join(r.folder, e.Name()))
		must.NoError(r.t, err)
		all[e.Name()] = info.ModTime().String() + "\n" + string(data)
	}
	return all
}

// Nomad starts the tasks of a service job anew when they end, also those that have
// done all that there was to do.
func TestStart_ACompletedRunIsNotBegunAgainInItsAllocation(t *testing.T) {
	for _, mode := range []string{"auto", "never"} {
		t.Run(mode, func(t *testing.T) {
			n := newNode(t)
			j := standinJob("ncpu = 1\nrestart = \"" + mode + "\"")
			first := n.start(j)
			must.True(t, first.wait().Successful())
			must.NoError(t, n.DestroyTask(first.id, false))
			before := first.contents()

			j.alloc = first.cfg.AllocID
			again := first.again(j)
			must.True(t, again.wait().Successful())
			n.hears(again.id, "This allocation has completed its run already, at ")
			n.hears(again.id, "Normal termination at the end time")
			must.Eq(t, before, first.contents())
			must.Zero(t, again.pid)
			_, leased := n.lease(again.id)
			must.False(t, leased)

			t.Run("nor told otherwise by a plugin that comes later", func(t *testing.T) {
				n.restart()
				again.comeBack()
				must.True(t, again.wait().Successful())
				must.Eq(t, before, first.contents())
				must.NoError(t, n.StopTask(again.id, patience, "SIGTERM"))
				must.Error(t, n.SignalTask(again.id, "SIGUSR1"))
				must.NoError(t, n.DestroyTask(again.id, false))
			})
		})
	}
}

// Somebody who runs a job again wants it computed again. Nomad, which does so by itself
// where it calls an allocation failed, must not: a service's task that ended, or one that
// completed and then exited with an error.
func TestStart_ACompletedRunInAnotherAllocation(t *testing.T) {
	clean := func(*ended.Completion) {}
	for name, c := range map[string]struct {
		ended  func(*ended.Completion)
		again  bool // Nomad has started the task again
		mode   string
		change func(t *testing.T, folder string)
		keeps  bool
	}{
		"run again by somebody":            {ended: clean},
		"replaced by Nomad":                {ended: clean, again: true, keeps: true},
		"told as a failure: exit code":     {ended: func(c *ended.Completion) { c.Code = 1 }, keeps: true},
		"told as a failure: signal":        {ended: func(c *ended.Completion) { c.Signal = 9 }, keeps: true},
		"told as a failure: nobody saw it": {ended: func(c *ended.Completion) { c.ExitKnown = false }, keeps: true},
		"told as a failure: out of memory": {ended: func(c *ended.Completion) { c.OOMKilled = true }, keeps: true},
		"of a version without decks":       {ended: func(c *ended.Completion) { c.Deck = "" }, again: true, keeps: true},
		"of another job":                   {ended: func(c *ended.Completion) { c.Job = "other" }, again: true},
		"as the job says":                  {ended: clean, again: true, mode: "never"},
		"with another deck": {ended: clean, again: true, change: func(t *testing.T, folder string) {
			appendLine(t, filepath.Join(folder, "main.k"), "$ a comment")
		}},
		"with a file of the deck away": {ended: clean, again: true, keeps: true, change: func(t *testing.T, folder string) {
			must.NoError(t, os.Rename(filepath.Join(folder, "part.k"), filepath.Join(folder, "part.k.away")))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			j := standinJob("ncpu = 1")
			j.files = deckFiles(t, false)
			j.files["main.k"] = strings.Replace(j.files["main.k"], "*END", "*INCLUDE\npart.k\n*END", 1)
			j.files["part.k"] = "$ nothing\n*END\n"
			first := n.start(j)
			must.True(t, first.wait().Successful())
			must.NoError(t, n.DestroyTask(first.id, false))
			recorded, err := first.recorded()
			must.NoError(t, err)
			must.NotEq(t, "", recorded.Completed.Deck)
			c.ended(recorded.Completed)
			folder, err := rundir.Open(first.folder, ".")
			must.NoError(t, err)
			must.NoError(t, folder.WriteRecord(recorded))
			must.NoError(t, folder.Close())
			j.files = nil
			if c.again {
				j.alloc = first.cfg.AllocID
				again := first.again(j)
				must.Zero(t, again.pid)
				again.wait()
				j.alloc = ""
			}
			if c.change != nil {
				c.change(t, first.folder)
			}
			if c.mode != "" {
				j.config += "\nrestart = \"" + c.mode + "\""
			}
			before := first.contents()
			for range 2 {
				next := first.again(j)
				if c.keeps {
					must.Zero(t, next.pid)
					next.wait()
					n.hears(next.id, "This job has completed its run already, and Nomad may start it again by itself, over the completed run of job ")
					must.Eq(t, before, first.contents())
					continue
				}
				must.Positive(t, next.pid)
				n.hears(next.id, "Beginning anew, over the results of the completed run of job ")
				n.hears(next.id, "(allocation "+first.cfg.AllocID+", task "+first.cfg.Name+", finished at ")
				must.True(t, next.wait().Successful())
				now, err := next.recorded()
				must.NoError(t, err)
				must.Eq(t, next.cfg.AllocID, now.Completed.Alloc)
				return
			}
		})
	}
}

func appendLine(t *testing.T, path, line string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(path, append(data, line+"\n"...), 0o644))
}

// Nomad's command line shows what it is told as it is, and the task's user can write
// what he likes into the record, and make files of any name.
func TestStart_WhatIsToldOfAFolderIsPrintable(t *testing.T) {
	n := newNode(t)
	const evil = "\x1b[2J\nnomad\u202e"
	j := standinJob("ncpu = 1")
	first := n.start(j)
	must.True(t, first.wait().Successful())
	recorded, err := first.recorded()
	must.NoError(t, err)
	c := recorded.Completed
	c.Reason += evil + strings.Repeat("x", 50_000)
	folder, err := rundir.Open(first.folder, ".")
	must.NoError(t, err)
	defer folder.Close()
	must.NoError(t, folder.WriteRecord(recorded))
	j.alloc = first.cfg.AllocID
	told := []string{}
	again := first.again(j)
	if err := again.wait().Err; err != nil {
		told = append(told, err.Error())
	}
	told = append(told, n.said(again.id)...)

	j.alloc, c.Job, c.Alloc = "", evil, evil
	must.NoError(t, folder.WriteRecord(recorded))
	other := first.again(j)
	other.wait()
	told = append(told, n.said(other.id)...)

	must.NoError(t, os.WriteFile(filepath.Join(first.folder, evil+".d3dump01"), []byte("dump"), 0o644))
	must.NoError(t, damage(filepath.Join(first.folder, rundir.RecordFile)))
	j.folder, j.files = first.folder, map[string]string{}
	_, _, err = n.StartTask(n.task(j))
	must.ErrorContains(t, err, "d3dump01")
	for _, text := range append(told, err.Error()) {
		must.Less(t, 5000, len(text))
		must.Eq(t, -1, strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }), must.Sprintf("%q", text))
	}
}

// A run that completed, but whose exit nobody saw, is no success the second time either.
func TestStart_ACompletedRunEndsAsItEnded(t *testing.T) {
	n := newNode(t)
	j := standinJob("ncpu = 1")
	r := n.start(j)
	must.True(t, r.wait().Successful())
	recorded, err := r.recorded()
	must.NoError(t, err)
	recorded.Completed.ExitKnown = false
	folder, err := rundir.Open(r.folder, ".")
	must.NoError(t, err)
	must.NoError(t, folder.WriteRecord(recorded))
	must.NoError(t, folder.Close())
	j.alloc = r.cfg.AllocID
	again := r.again(j)
	must.ErrorContains(t, again.wait().Err, "exit status unknown; normal termination at the end time")
}

// A file server may not show every file at once: the results are kept on a doubt, too.
func TestStart_ACompletedRunIsNotBegunAgainWhereItsRecordIsAway(t *testing.T) {
	for name, spoil := range map[string]func(string) error{"missing": os.Remove, "damaged": damage} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			j := standinJob("ncpu = 1\nrestart = \"never\"")
			r := n.start(j)
			must.True(t, r.wait().Successful())
			path := filepath.Join(r.folder, rundir.RecordFile)
			data, err := os.ReadFile(path)
			must.NoError(t, err)
			must.NoError(t, spoil(path))
			before := r.contents()
			j.alloc, j.folder, j.files = r.cfg.AllocID, r.folder, map[string]string{}
			_, _, err = n.StartTask(n.task(j))
			must.ErrorContains(t, err, "this allocation has completed its run already, by .lsdyna-history.json")
			must.True(t, structs.IsRecoverable(err), must.Sprint(err))
			must.Eq(t, before, r.contents())

			must.NoError(t, os.WriteFile(path, data, 0o644))
			again := r.again(j)
			must.True(t, again.wait().Successful())
			n.hears(again.id, "This allocation has completed its run already, at ")
		})
	}
}

// What a start that does not read the record begins over is not told a second time.
func TestStart_ACompletedRunIsOverwrittenOnce(t *testing.T) {
	n := newNode(t)
	j := slowJob("ncpu = 1\nrestart = \"never\"")
	first := n.start(standinJob("ncpu = 1"))
	must.True(t, first.wait().Successful())
	j.files = map[string]string{}
	for _, overwrites := range []bool{true, false} {
		next := first.again(j)
		n.hears(next.id, "Allocated core")
		must.Eq(t, overwrites, strings.Contains(strings.Join(n.said(next.id), "\n"), "Beginning anew, over"))
		endProcess(t, next.pid)
		next.wait()
	}
}
