// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds/credstest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// usersTask is a task of a user that has a folder of his own, without what anybody
// else may do there.
func usersTask(t *testing.T) (task *Task, folder string) {
	t.Helper()
	base := t.TempDir()
	for dir := base; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		must.NoError(t, os.Chmod(dir, 0o755))
	}
	must.NoError(t, os.Chmod(base, 0o777))
	u := supervisor.User{UID: 65534, GID: 65534}
	folder = filepath.Join(base, "run")
	asUser := func(do func() error) { must.NoError(t, u.Do(do)) }
	asUser(func() error { return os.Mkdir(folder, 0o700) })
	asUser(func() error {
		return os.WriteFile(filepath.Join(folder, "stdout"), []byte(nodetest.Solving(5, 1e-2)), 0o600)
	})
	t.Cleanup(func() { asUser(func() error { return os.RemoveAll(folder) }) })
	return &Task{Dir: "1", User: u, Details: state.Details{RunBase: base, RunFolder: "run", Stdout: "stdout"}}, folder
}

func progressOf(t *testing.T, task *Task) Progress {
	t.Helper()
	fs := followers{}
	fs.read(t.Context(), []*Task{task}, time.Minute)
	watcher := fs[task.Dir].watcher
	fs.forget(nil)
	<-watcher.Done()
	return task.Progress
}

func TestFollowers_getIntoAPrivateFolderAsItsUser(t *testing.T) {
	if !credstest.Squashed(t) {
		return
	}
	task, folder := usersTask(t)
	_, err := os.ReadDir(folder)
	must.ErrorIs(t, err, os.ErrPermission)
	p := progressOf(t, task)
	must.NoError(t, p.Err)
	must.Eq(t, 0.004, p.Snapshot.Time)
}

func TestFollowers_readNothingThatTheTasksUserMayNot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("another user's rights need root")
	}
	task, folder := usersTask(t)
	const secret = "s3cret-of-another"
	planted := " *** Error 10246 (KEY+246)\n     " + secret + "\n"
	must.NoError(t, os.WriteFile(filepath.Join(folder, "messag"), []byte(planted), 0o600))
	p := progressOf(t, task)
	must.ErrorIs(t, p.Err, os.ErrPermission)
	must.False(t, rundir.Unreadable(p.Err))
	must.Nil(t, p.Snapshot.FirstError)
	must.Eq(t, 0.004, p.Snapshot.Time)
}
