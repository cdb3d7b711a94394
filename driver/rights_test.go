// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds/credstest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// nobody is who tasks run as that name no user.
var nobody = creds.User{UID: 65534, GID: 65534}

// private makes a run folder that only the tasks' user gets into, in a folder that
// he alone may search.
func (n *node) private(files map[string]string) string {
	n.t.Helper()
	open := filepath.Join(n.work, "home")
	must.NoError(n.t, os.Mkdir(open, 0o777))
	must.NoError(n.t, os.Chmod(open, 0o777))
	folder := filepath.Join(open, "nobody", "run")
	must.NoError(n.t, nobody.Do(func() error {
		must.NoError(n.t, os.MkdirAll(folder, 0o700))
		must.NoError(n.t, os.Chmod(filepath.Dir(folder), 0o100))
		for name, content := range files {
			must.NoError(n.t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
		}
		return nil
	}))
	n.t.Cleanup(func() { // before the temporary folder is removed
		eventually(n.t, "it is removed, whatever a run that has just ended still writes there", func() bool {
			return nobody.Do(func() error {
				_ = os.Chmod(filepath.Dir(folder), 0o700)
				return os.RemoveAll(filepath.Dir(folder))
			}) == nil
		})
	})
	_, err := os.Lstat(folder)
	must.ErrorIs(n.t, err, os.ErrPermission)
	return folder
}

// On a file server that does not trust root, the driver gets into a private run
// folder only as its user: to start, stop, recover, restart and end a run there.
func TestTask_InAPrivateFolderThatRootMayNotEnter(t *testing.T) {
	if !credstest.Squashed(t) {
		return
	}
	n := newLoneNode(t)
	j := slowJob("ncpu = 1")
	j.folder = n.private(deckFiles(t, true))
	r := n.start(j)
	r.isSeenComputing()
	must.NoError(t, n.SignalTask(r.id, "SIGUSR1"))
	n.hears(r.id, "Switch sw3, dump d3dump01 written")

	n.restart()
	r.comeBack()
	r.isSeenComputing()
	must.NoError(t, n.StopTask(r.id, patience, "SIGTERM"))
	n.hears(r.id, "Stopping with sw1, dump d3dump02 written")

	next := standinJob("ncpu = 1")
	next.files = map[string]string{}
	r = r.again(next)
	n.hears(r.id, "Restarting from d3dump02")
	result := r.wait()
	must.True(t, result.Successful(), must.Sprintf("%+v", result))

	must.NoError(t, nobody.Do(func() error {
		for _, name := range []string{rundir.RecordFile, "stdout", "d3dump02"} {
			var st syscall.Stat_t
			must.NoError(t, syscall.Lstat(filepath.Join(r.folder, name), &st))
			must.Eq(t, uint32(nobody.UID), st.Uid, must.Sprint(name))
		}
		return nil
	}))
}

// A folder's owner may put another's file under an output's name. Root could read
// it, and what the driver reads there it tells.
func TestTask_TellsNothingOfAFileThatItsUserMayNotRead(t *testing.T) {
	needRoot(t)
	n := newNode(t)
	const secret = "s3cret-of-another"
	for name, body := range map[string]string{
		"as its messag": "mv another messag; exit 1",
		"as its stdout": "mv -f another stdout; exit 1",
	} {
		t.Run(name, func(t *testing.T) {
			j := n.script(body)
			j.files["another"] = "\n *** Error 10246 (KEY+246)\n     " + secret + "\n"
			j.folder = n.folder(j.files)
			must.NoError(t, os.Chmod(filepath.Join(j.folder, "another"), 0o600)) // root's
			r := n.start(j)
			must.StrNotContains(t, r.wait().Err.Error(), secret)
			for _, words := range n.said(r.id) {
				must.StrNotContains(t, words, secret)
			}
			s := r.task().View().Snapshot
			must.Nil(t, s.FirstError)
			must.StrNotContains(t, s.LastWords, secret)
		})
	}
}

// What was in the folder before, and cannot be read, holds up no start.
func TestStart_PassesOverAnOutputThatItsUserMayNotRead(t *testing.T) {
	needRoot(t)
	n := newNode(t)
	j := standinJob("ncpu = 1")
	files := deckFiles(t, false)
	others := []string{"mes0000", "d3hsp07", "d3dump07"}
	for _, name := range others {
		files[name] = " *** Error 10246 (KEY+246)\n     of another run\n"
	}
	j.folder = n.folder(files)
	for _, name := range others {
		must.NoError(t, os.Chmod(filepath.Join(j.folder, name), 0o600)) // root's
	}
	result := n.start(j).wait()
	must.True(t, result.Successful(), must.Sprintf("%+v", result))
}
