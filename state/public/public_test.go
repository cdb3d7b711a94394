// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package public

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// dora and emil are users of whom nothing else is known.
const dora, emil = 54321, 54322

func statusDir(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "status")
}

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	must.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func task(job string) Task {
	return Task{ID: state.ID{Alloc: "a", Task: "t", Invocation: job}, Details: state.Details{JobID: job}, State: "running", Cores: []int{1}}
}

func now() Node {
	return Node{Writer: ThisProcess(os.Getpid()), Written: time.Now(), Uptime: Uptime(), Taken: "0-3", Tasks: 2}
}

func ino(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Lstat(path)
	must.NoError(t, err)
	return info.Sys().(*syscall.Stat_t).Ino
}

func TestDir_eachUserReadsHisOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("files for other users need root")
	}
	path := statusDir(t)
	for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		must.NoError(t, os.Chmod(dir, 0o755))
	}
	d := open(t, path)
	must.NoError(t, d.Write(now(), map[int]Tasks{dora: {Tasks: []Task{task("hers")}}, emil: {Tasks: []Task{task("his")}}}))
	for _, uid := range []int{dora, emil} {
		must.NoError(t, creds.User{UID: uid, GID: uid}.Do(func() error {
			n, err := ReadNode(path)
			test.NoError(t, err)
			test.Eq(t, "0-3", n.Taken)
			own, err := ReadTasks(path, uid)
			test.NoError(t, err)
			if test.Len(t, 1, own.Tasks); len(own.Tasks) == 1 {
				test.Eq(t, map[int]string{dora: "hers", emil: "his"}[uid], own.Tasks[0].Details.JobID)
			}
			_, err = ReadTasks(path, dora+emil-uid)
			test.ErrorIs(t, err, fs.ErrPermission)
			none, err := ReadTasks(path, 54399)
			test.NoError(t, err)
			test.SliceEmpty(t, none.Tasks)
			test.Error(t, os.Remove(filepath.Join(path, tasksName(uid))))
			test.ErrorIs(t, os.Chmod(filepath.Join(path, tasksName(uid)), 0o600), fs.ErrPermission, test.Sprint("his file could fill /run"))
			_, err = os.OpenFile(filepath.Join(path, tasksName(uid)), os.O_WRONLY, 0)
			test.ErrorIs(t, err, fs.ErrPermission)
			test.Error(t, os.WriteFile(filepath.Join(path, "1.json"), nil, 0o644))
			_, err = os.OpenFile(filepath.Join(path, lockName), os.O_RDONLY, 0)
			test.ErrorIs(t, err, fs.ErrPermission, test.Sprint("whoever can open the lock can hold it"))
			return nil
		}))
	}
}

func TestDir_whatIsAsItWasIsNotWritten(t *testing.T) {
	path := statusDir(t)
	d := open(t, path)
	n, uid := now(), os.Geteuid()
	must.NoError(t, d.Write(n, map[int]Tasks{uid: {Tasks: []Task{task("a")}}}))
	file := filepath.Join(path, tasksName(uid))
	first := ino(t, file)
	must.NoError(t, d.Write(n, map[int]Tasks{uid: {Tasks: []Task{task("a")}}}))
	must.Eq(t, first, ino(t, file))
	must.NoError(t, d.Write(n, map[int]Tasks{uid: {Tasks: []Task{task("b")}}}))
	must.NotEq(t, first, ino(t, file))
	must.NoError(t, d.Write(n, nil))
	must.FileNotExists(t, file)
	must.NoError(t, d.Write(n, map[int]Tasks{uid: {Tasks: []Task{task("b")}}}))
	must.FileExists(t, file)
}

// A plugin that was killed leaves what it told, and a half of it.
func TestDir_leftoversOfAnEarlierPluginGo(t *testing.T) {
	path := statusDir(t)
	must.NoError(t, os.Mkdir(path, 0o755))
	others := []string{"daemon.json", ".config.json", "77.jsonl", "007.json", "-7.json", ".json", "node.json.bak", "77"} // somebody else's
	for _, name := range append([]string{"77.json", ".77.json", ".node.json"}, others...) {
		must.NoError(t, os.WriteFile(filepath.Join(path, name), []byte("x"), 0o600))
	}
	d := open(t, path)
	must.NoError(t, d.Write(now(), nil))
	entries, err := os.ReadDir(path)
	must.NoError(t, err)
	for _, name := range others {
		must.FileExists(t, filepath.Join(path, name))
	}
	must.Len(t, len(others)+2, entries) // node.json and the lock
}

func TestOpen_oneStatusDirIsOnePlugins(t *testing.T) {
	path := statusDir(t)
	d, err := Open(path)
	must.NoError(t, err)
	_, err = Open(path)
	must.ErrorIs(t, err, durable.ErrHeld)
	must.NoError(t, d.Close())
	d, err = Open(path)
	must.NoError(t, err)
	must.NoError(t, d.Close())
}

func TestOpen_refusesAFolderThatOthersPrepare(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(base, path string) error
		want    string
		root    bool
	}{
		"all may write there": {func(_, path string) error { return errors.Join(os.Mkdir(path, 0o755), os.Chmod(path, 0o777)) }, "others can write there", false},
		"another user's":      {func(_, path string) error { return errors.Join(os.Mkdir(path, 0o755), os.Chown(path, emil, emil)) }, "belongs to uid", true},
		"a link":              {os.Symlink, "is not a folder", false},
		"all may write above": {func(base, _ string) error { return os.Chmod(base, 0o777) }, "status_dir", false},
	} {
		t.Run(name, func(t *testing.T) {
			if c.root && os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			base := filepath.Join(t.TempDir(), "base")
			must.NoError(t, os.Mkdir(base, 0o755))
			path := filepath.Join(base, "status")
			must.NoError(t, c.prepare(base, path))
			_, err := Open(path)
			must.ErrorContains(t, err, c.want)
			must.StrNotContains(t, err.Error(), "state_dir")
		})
	}
}

func TestStateDir_isBelievedOnlyOfRootAndThisUser(t *testing.T) {
	for name, c := range map[string]struct {
		change func(base, path string) error
		says   string
		want   string
		root   bool
	}{
		"a plugin's word":              {func(_, _ string) error { return nil }, "/srv/lsdyna/", "/srv/lsdyna", false},
		"an older plugin's":            {func(_, _ string) error { return nil }, "", "", false},
		"no path":                      {func(_, _ string) error { return nil }, "lsdyna", "", false},
		"all may write there":          {func(_, path string) error { return os.Chmod(path, 0o777) }, "/srv/lsdyna", "", false},
		"all may write above":          {func(base, _ string) error { return os.Chmod(base, 0o777) }, "/srv/lsdyna", "", false},
		"the folder is another user's": {func(_, path string) error { return os.Chown(path, emil, emil) }, "/srv/lsdyna", "", true},
		"another's file in a shared folder": {func(_, path string) error {
			return errors.Join(os.Chmod(path, 0o777|fs.ModeSticky), os.Chown(filepath.Join(path, nodeName), emil, emil))
		}, "/srv/lsdyna", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			if c.root && os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			base := filepath.Join(t.TempDir(), "base")
			must.NoError(t, os.Mkdir(base, 0o755))
			path := filepath.Join(base, "status")
			n := now()
			n.StateDir = c.says
			must.NoError(t, open(t, path).Write(n, nil))
			must.NoError(t, c.change(base, path))
			must.Eq(t, c.want, StateDir(path))
		})
	}
	must.Eq(t, "", StateDir(""))
	must.Eq(t, "", StateDir(filepath.Join(t.TempDir(), "none")))
}

func TestDir_isOpenToAllWhateverTheUmask(t *testing.T) {
	old := syscall.Umask(0o077)
	t.Cleanup(func() { syscall.Umask(old) })
	path := statusDir(t)
	d := open(t, path)
	must.NoError(t, d.Write(now(), nil))
	info, err := os.Stat(path)
	must.NoError(t, err)
	must.Eq(t, 0o755, info.Mode().Perm())
	info, err = os.Stat(filepath.Join(path, nodeName))
	must.NoError(t, err)
	must.Eq(t, 0o444, info.Mode().Perm())
}

func TestNode_doubt(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Node)
		want   string // "": none
	}{
		"just written":                    {func(*Node) {}, ""},
		"the clock was set":               {func(n *Node) { n.Written = n.Written.Add(-24 * time.Hour) }, ""},
		"another boot":                    {func(n *Node) { n.Writer.BootID = "before" }, "the machine was started since"},
		"the plugin has ended":            {func(n *Node) { n.Writer.Start++ }, "does not run any more"},
		"it says nothing any more":        {func(n *Node) { n.Uptime -= stale + 5 }, "1m5s ago"},
		"written by nobody in particular": {func(n *Node) { n.Writer = Writer{} }, "the machine was started since"},
	} {
		t.Run(name, func(t *testing.T) {
			n := now()
			c.change(&n)
			doubt := n.Doubt(procfs.Root, Uptime())
			if c.want == "" {
				must.Eq(t, "", doubt)
				return
			}
			must.StrContains(t, doubt, c.want)
		})
	}
}

func TestRead_refusesWhatItDoesNotUnderstand(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) { must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)) }
	_, err := ReadNode(dir)
	must.ErrorIs(t, err, fs.ErrNotExist)
	write(nodeName, "{")
	_, err = ReadNode(dir)
	must.ErrorContains(t, err, nodeName)
	write(nodeName, `{"version":2}`)
	_, err = ReadNode(dir)
	must.ErrorContains(t, err, "newer plugin")
	write(tasksName(dora), `{"version":1,"uid":54322}`)
	_, err = ReadTasks(dir, dora)
	must.ErrorContains(t, err, "not of this plugin and user")
	must.NoError(t, os.Symlink(filepath.Join(dir, tasksName(dora)), filepath.Join(dir, tasksName(emil))))
	_, err = ReadTasks(dir, emil)
	must.Error(t, err)
}

// What status does not tell of a run is not in the file either.
func TestTold_leavesOutWhatStatusDoesNotTell(t *testing.T) {
	d := state.Details{
		JobID: "crash", Home: "/home/secret-home", Groups: []int{98765}, NodesKey: "secret-key", Deck: "secret-deck",
		Old: json.RawMessage(`"secret-old"`), Completed: json.RawMessage(`"secret-completed"`), AllocDir: "/secret-alloc",
	}
	told := Told(&d)
	data, err := json.Marshal(told)
	must.NoError(t, err)
	must.StrContains(t, string(data), "crash")
	must.StrNotContains(t, string(data), "secret")
	must.StrNotContains(t, string(data), "98765")
}
